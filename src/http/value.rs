//! Header values that cannot split a response.

use std::fmt;

use crate::http::bytes::all_printable_or;

/// A header value of visible ASCII, space and tab. Envoy does not check values on their way to the
/// client, so CR or LF in one would start another header or another response; this type is the
/// only way into a response of ours. Narrower than RFC 9110 section 5.5, which lets bytes above
/// 0x7f through.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderValue(String);

/// The text has a byte that a header value of ours may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAHeaderValue;

impl HeaderValue {
    /// Takes a text that is known when the program is built.
    #[must_use]
    pub fn fixed(text: &'static str) -> Self {
        debug_assert!(
            is_header_value(text.as_bytes()),
            "a fixed header value with a control byte"
        );
        Self(text.to_owned())
    }

    /// The value as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value as bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

fn is_header_value(bytes: &[u8]) -> bool {
    all_printable_or(bytes, |byte| matches!(byte, b'\t' | b' '..=b'~'))
}

impl TryFrom<String> for HeaderValue {
    type Error = NotAHeaderValue;

    fn try_from(text: String) -> Result<Self, NotAHeaderValue> {
        if is_header_value(text.as_bytes()) {
            Ok(Self(text))
        } else {
            Err(NotAHeaderValue)
        }
    }
}

impl TryFrom<&str> for HeaderValue {
    type Error = NotAHeaderValue;

    fn try_from(text: &str) -> Result<Self, NotAHeaderValue> {
        Self::try_from(text.to_owned())
    }
}

impl fmt::Debug for HeaderValue {
    /// A value may be a credential or a cookie.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderValue([{} bytes])", self.0.len())
    }
}

impl fmt::Display for NotAHeaderValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected visible ASCII, space or tab, but found another byte")
    }
}

impl std::error::Error for NotAHeaderValue {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_byte_and_nothing_beyond_ascii_gets_in() {
        for byte in (0..=0x1f_u8).chain([0x7f]) {
            let text = format!("a{}b", char::from(byte));
            assert_eq!(
                HeaderValue::try_from(text).is_ok(),
                byte == b'\t',
                "byte {byte:#04x}"
            );
        }
        assert!(HeaderValue::try_from("caf\u{e9}").is_err());
        assert!(HeaderValue::try_from("a b\tc~").is_ok());
    }
}
