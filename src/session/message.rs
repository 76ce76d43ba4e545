//! What a box holds: a protobuf message, since it travels with every request and is read for each that
//! comes first.

use prost::Message;
use zeroize::Zeroizing;

/// Writes a message, for a box.
pub(super) fn write(message: &impl Message) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(message.encode_to_vec())
}

/// Reads one that is exactly what [`write()`] made. `None` for anything else: an unknown field, one of
/// another type, or one twice.
pub(super) fn read<M: Message + Default>(plain: &[u8]) -> Option<M> {
    let message = M::decode(plain).ok()?;
    // What is skipped, overwritten or said though it is the default is longer than it had to be.
    (message.encoded_len() == plain.len()).then_some(message)
}

/// A text that has to be there.
pub(super) fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(PartialEq, Message)]
    struct Sample {
        #[prost(string, tag = "1")]
        text: String,
        #[prost(uint64, tag = "2")]
        number: u64,
    }

    #[test]
    fn only_what_was_written_is_read() {
        let sample = Sample {
            text: "a\"\u{e9}".to_owned(),
            number: 300,
        };
        let plain = write(&sample);
        assert_eq!(plain.as_slice(), b"\x0a\x04a\"\xc3\xa9\x10\xac\x02");
        assert_eq!(read(&plain), Some(sample));
        assert_eq!(read(b""), Some(Sample::default()));
        for (plain, why) in [
            (&b"\x0a"[..], "no length"),
            (b"\x0a\x02a", "cut"),
            (b"\x0a\x01\xff", "no UTF-8"),
            (b"\x08\x01", "a number for a text"),
            (b"\x12\x01a", "a text for a number"),
            (b"\x0a\x01a\x0a\x01a", "twice"),
            (b"\x0a\x00", "the default"),
            (b"\x0a\x01a\x1a\x01a", "unknown"),
            (b"\x10\x81\x00", "a number that is too long"),
            (
                b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                "too large",
            ),
            (b"\x0a\x01a\x00", "a tag of zero"),
            (b"{\"text\":\"a\"}", "JSON"),
        ] {
            assert_eq!(read::<Sample>(plain), None, "{why}");
        }
    }
}
