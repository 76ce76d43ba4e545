//! Looks at eight bytes at a time. A request has kilobytes of cookies and tokens, and the module has no
//! vector instructions: byte by byte they take most of its time.

/// A word with the same byte everywhere.
const fn every(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Has the high bit of each byte that is zero: subtracting one borrows from the high bit, which such a byte
/// does not have. Bits above the lowest one may come from borrowing.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(every(1)) & !word & every(0x80)
}

/// Whether all bytes are from space to `~`. Below space there is less than nothing left, `DEL` and one more
/// is 0x80, and what is beyond ASCII has the high bit itself; where no byte is one of these, none borrows or carries.
const fn is_printable(word: u64) -> bool {
    let high = word | word.wrapping_sub(every(b' ')) | word.wrapping_add(every(1));
    high & every(0x80) == 0
}

/// Where the first `wanted` is.
pub(super) fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let found = |word: &[u8; 8]| zeros(u64::from_le_bytes(*word) ^ every(wanted));
    let (skipped, within) = match words.iter().position(|word| found(word) != 0) {
        Some(index) => {
            let bits = found(words.get(index)?).trailing_zeros();
            (index, usize::try_from(bits >> 3_u32).ok()?)
        }
        None => (words.len(), rest.iter().position(|byte| *byte == wanted)?),
    };
    Some(skipped.saturating_mul(8).saturating_add(within))
}

/// Whether `is_good` holds for every byte. It is only asked about words that have another byte than those
/// from space to `~`, for which it must hold.
pub(super) fn all_printable_or(bytes: &[u8], is_good: fn(&u8) -> bool) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    words
        .iter()
        .all(|word| is_printable(u64::from_ne_bytes(*word)) || word.iter().all(is_good))
        && rest.iter().all(is_good)
}

/// Whether all bytes are ASCII.
pub(super) fn is_ascii(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let word = words
        .iter()
        .fold(0, |all, word| all | u64::from_ne_bytes(*word));
    let byte = rest.iter().fold(0, |all, byte| all | byte);
    (word | u64::from(byte)) & every(0x80) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of texts up to three words long, among other bytes.
    #[test]
    fn words_say_the_same_as_bytes() {
        let is_good = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
        for around in [b' ', b'~', 0x01, 0x7f, 0x80, 0xff, b':', b';', b'<'] {
            for length in 0..24 {
                let plain = vec![around; length];
                let expected = plain.iter().position(|byte| *byte == b';');
                assert_eq!(position(&plain, b';'), expected);
                for at in 0..length {
                    for byte in 0..=u8::MAX {
                        let mut text = plain.clone();
                        text[at] = byte;
                        let expected = text.iter().position(|found| *found == byte);
                        assert_eq!(position(&text, byte), expected, "{text:x?}");
                        let expected = text.iter().all(is_good);
                        assert_eq!(all_printable_or(&text, is_good), expected, "{text:x?}");
                        assert_eq!(is_ascii(&text), text.is_ascii(), "{text:x?}");
                    }
                }
            }
        }
    }
}
