//! Header fields, as the host hands them over.

use std::fmt;

use crate::http::bytes::is_ascii;

/// Header fields in their order, names in lower case as Envoy hands them over, values as bytes.
///
/// They stay in the one piece of memory that the host wrote: a request has some fifteen, and a piece for each
/// name and each value costs more than all that is done with them.
#[derive(Clone, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

/// Where a field lies: the name, a NUL, the value, a NUL.
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    name: usize,
    value: usize,
}

/// Bytes of a number in the host's form.
const NUMBER: usize = 4;

impl Headers {
    /// Takes name and value pairs. Names must be in lower case.
    #[must_use]
    pub fn new(pairs: Vec<(String, Vec<u8>)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.fields.push(Field {
                start: headers.bytes.len(),
                name: name.len(),
                value: value.len(),
            });
            for part in [name.as_bytes(), &value] {
                headers.bytes.extend_from_slice(part);
                headers.bytes.push(0);
            }
        }
        headers
    }

    /// Reads the serialized map of proxy-wasm (ABI 0.2.1): the number of fields, the sizes of each name and
    /// value, then each of them with a NUL behind; numbers are 32 bits, little-endian. No bytes are no fields.
    ///
    /// `None` if it is something else, or if a name is not ASCII, which no field name is (RFC 9110 section 5.1).
    #[must_use]
    pub fn deserialize(bytes: Vec<u8>) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let (count, rest) = number(&bytes)?;
        let (sizes, _) = rest.split_at_checked(count.checked_mul(2 * NUMBER)?)?;
        let mut start = sizes.len().checked_add(NUMBER)?;
        let mut fields = Vec::with_capacity(count);
        for pair in sizes.as_chunks::<{ 2 * NUMBER }>().0 {
            let (name, value) =
                number(pair).and_then(|(name, rest)| Some((name, number(rest)?.0)))?;
            let field = Field { start, name, value };
            if !is_ascii(field.name(&bytes)?) {
                return None;
            }
            let end = field.value_start()?.checked_add(value)?;
            start = end.checked_add(1)?;
            fields.push(field);
        }
        // The NUL behind the last value ends nothing that anybody reads.
        (start.checked_sub(1)? <= bytes.len()).then_some(Self { bytes, fields })
    }

    /// All values of `name`, in order.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields
            .iter()
            .filter(move |field| {
                field.name == name.len() && field.name(&self.bytes) == Some(name.as_bytes())
            })
            .filter_map(|field| field.value(&self.bytes))
    }

    /// The value of `name` if there is exactly one and it is ASCII. A header that is there twice
    /// has no meaning that two readers agree on.
    #[must_use]
    pub fn single(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let value = values.next()?;
        if values.next().is_some() || !value.is_ascii() {
            return None;
        }
        std::str::from_utf8(value).ok()
    }

    /// Whether there is a field called `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// All fields in order. Names are bytes: to look at each as text costs more than what it is looked at for.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields
            .iter()
            .filter_map(|field| Some((field.name(&self.bytes)?, field.value(&self.bytes)?)))
    }
}

impl Field {
    fn name<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.get(self.start..self.start.checked_add(self.name)?)
    }

    fn value_start(&self) -> Option<usize> {
        self.start.checked_add(self.name)?.checked_add(1)
    }

    fn value<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let start = self.value_start()?;
        bytes.get(start..start.checked_add(self.value)?)
    }
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER>()?;
    let number = usize::try_from(u32::from_le_bytes(*number)).ok()?;
    Some((number, rest))
}

impl From<Vec<(String, Vec<u8>)>> for Headers {
    fn from(pairs: Vec<(String, Vec<u8>)>) -> Self {
        Self::new(pairs)
    }
}

impl fmt::Debug for Headers {
    /// Values may be credentials or cookies: names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &[u8])]) -> Headers {
        let pairs = pairs.iter();
        Headers::new(pairs.map(|(n, v)| ((*n).to_owned(), v.to_vec())).collect())
    }

    #[test]
    fn a_header_that_is_there_twice_has_no_single_value() {
        let headers = fields(&[("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"\xff")]);
        assert_eq!(headers.single("a"), None);
        assert_eq!(headers.single("b"), Some("2"));
        assert_eq!(headers.single("c"), None);
        assert_eq!(headers.all("a").count(), 2);
        assert!(!headers.contains("d"));
    }

    #[test]
    fn values_are_never_shown() {
        let headers = fields(&[("cookie", b"canary")]);
        assert_eq!(format!("{headers:?}"), r#"["cookie"]"#);
    }

    /// Two fields: `a` with `xy`, and `bc` with nothing.
    const MAP: &[u8] = b"\x02\0\0\0\x01\0\0\0\x02\0\0\0\x02\0\0\0\0\0\0\0a\0xy\0bc\0\0";

    #[test]
    fn what_the_host_writes_is_read() {
        let headers = Headers::deserialize(MAP.to_vec()).unwrap();
        let found: Vec<_> = headers.iter().collect();
        assert_eq!(found, [(&b"a"[..], &b"xy"[..]), (b"bc", b"")]);
        let none = [&b""[..], b"\0\0\0\0"];
        assert!(
            none.map(|map| Headers::deserialize(map.to_vec()).unwrap().iter().count()) == [0; 2]
        );
    }

    #[test]
    fn what_the_host_cannot_have_written_is_no_map() {
        // The last NUL ends nothing that anybody reads.
        for length in 1..MAP.len() - 1 {
            assert!(
                Headers::deserialize(MAP[..length].to_vec()).is_none(),
                "{length}"
            );
        }
        for at in 0..20 {
            let mut map = MAP.to_vec();
            map[at] = 0xff;
            assert!(Headers::deserialize(map).is_none(), "a size of byte {at}");
        }
        let mut map = MAP.to_vec();
        map[20] = 0xc3;
        assert!(
            Headers::deserialize(map).is_none(),
            "a name that is not ASCII"
        );
    }
}
