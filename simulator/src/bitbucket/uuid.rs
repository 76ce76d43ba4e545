//! Ids that nobody has yet, the same in every run.

use sha2::{Digest, Sha256};

/// A UUID in its braces, as Bitbucket writes them, made of `text`.
pub(super) fn uuid_of(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(32);
    for (at, mark) in [(8, "-"), (13, "-4"), (18, "-8"), (23, "-")] {
        // RFC 9562 section 5.4: the version and the variant are in the place of a digit.
        hex.insert_str(at, mark);
    }
    hex.truncate(36);
    format!("{{{hex}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_one() {
        let uuid = uuid_of("a");
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [9, 4, 4, 4, 13]);
        assert!(uuid.starts_with('{') && uuid.ends_with('}') && uuid != uuid_of("b"));
        assert_eq!(uuid.chars().nth(15), Some('4'));
    }
}
