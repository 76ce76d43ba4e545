//! What a target looks like, by one look at each of its bytes: most have nothing that needs a second one.

/// No target may hold it.
const REFUSED: u8 = 1;
/// In a path it is not compared as it stands.
const CODED: u8 = 2;
const SLASH: u8 = 4;
/// One bit above that of a slash, so that a slash before it shows when bits move by one.
const SLASH_OR_DOT: u8 = 8;
/// Two such bytes, one after the other.
const PAIR: u8 = 16;

/// All bytes of a path or a query together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape(u8);

impl Shape {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut previous = 0;
        let all = bytes.iter().fold(0, |all, byte| {
            let kind = KINDS.get(usize::from(*byte)).copied().unwrap_or(REFUSED);
            let pair = (previous & SLASH) << 1_u32 & kind;
            previous = kind;
            all | kind | pair << 1_u32
        });
        Self(all)
    }

    /// Whether a byte is outside visible ASCII, a `#` or a `\`.
    pub(super) fn is_refused(self) -> bool {
        self.0 & REFUSED != 0
    }

    /// Whether a path is compared as it stands.
    pub(super) fn is_plain(self) -> bool {
        self.0 & CODED == 0
    }

    /// Whether a path that begins with a slash may have a segment that is empty or begins with a dot.
    pub(super) fn may_have_dots(self) -> bool {
        self.0 & PAIR != 0
    }
}

/// `pchar` of RFC 3986 without `;`, which has two readings, and without `*`, which templates cannot
/// have as it is.
pub(super) const fn stands_as_it_is(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

/// What each byte is: a load is less than a dozen comparisons.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0_u8;
    #[expect(
        clippy::as_conversions,
        clippy::indexing_slicing,
        reason = "a constant: what goes wrong does not compile"
    )]
    while byte < u8::MAX {
        kinds[byte as usize] = kind(byte);
        byte += 1;
    }
    kinds[255] = kind(u8::MAX);
    kinds
};

const fn kind(byte: u8) -> u8 {
    match byte {
        b'/' => SLASH | SLASH_OR_DOT,
        b'.' => SLASH_OR_DOT,
        b'#' | b'\\' | ..=b' ' | 0x7f.. => REFUSED | CODED,
        byte if stands_as_it_is(byte) => 0,
        _ => CODED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_what_the_text_says() {
        for byte in 0..=u8::MAX {
            let shape = Shape::of(&[byte]);
            let is_visible = matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'\\');
            assert_eq!(shape.is_refused(), !is_visible, "{byte:#04x}");
            let is_plain = byte == b'/' || stands_as_it_is(byte);
            assert_eq!(shape.is_plain(), is_plain, "{byte:#04x}");
            assert!(!shape.may_have_dots());
        }
        assert!(stands_as_it_is(b'.') && !stands_as_it_is(b'/') && !stands_as_it_is(b'%'));
    }

    #[test]
    fn only_a_slash_before_a_slash_or_a_dot_may_be_a_dot_segment() {
        for (path, expected) in [
            ("/a/b", false),
            ("/a/", false),
            ("/a.b/c.", false),
            ("/a./b", false),
            ("//", true),
            ("/a//", true),
            ("/.", true),
            ("/a/..", true),
            ("/a/.well-known", true),
        ] {
            assert_eq!(
                Shape::of(path.as_bytes()).may_have_dots(),
                expected,
                "{path}"
            );
        }
    }
}
