//! A request as it was received.

use std::fmt;

use crate::http::{RequestTarget, TargetError};

/// Header fields in their order, names in lower case as Envoy hands them over, values as bytes.
#[derive(Clone, Default)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Takes name and value pairs. Names must be in lower case.
    #[must_use]
    pub fn new(fields: Vec<(String, Vec<u8>)>) -> Self {
        Self(fields)
    }

    /// All values of `name`, in order.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter()
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| value)
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

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
    }
}

impl fmt::Debug for Headers {
    /// Values may be credentials or cookies: names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A request that can be judged: method, authority and target are there and unambiguous.
#[derive(Debug)]
pub struct Request {
    /// The method as sent; methods are case-sensitive (RFC 9110 section 9.1).
    pub method: String,
    /// Host and port as sent, in lower case.
    pub authority: String,
    /// Path and query.
    pub target: RequestTarget,
    /// The header fields without pseudo-headers.
    pub headers: Headers,
}

/// A request that cannot be judged, with what is needed to answer it.
#[derive(Debug)]
pub struct Unreadable {
    /// Why.
    pub malformed: Malformed,
    /// The method as sent; empty if that is what is wrong.
    pub method: String,
    /// The header fields without pseudo-headers.
    pub headers: Headers,
}

/// Methods that are never passed on: TRACE sends back the request as the service got it, with the
/// injected token in it; CONNECT asks for a tunnel.
pub const NEVER: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// Why a request cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// `:authority` is missing, repeated or not a host.
    Authority,
    /// `:method` is missing, repeated or not a token.
    Method,
    /// `:path` is missing or repeated, or two readers could read it in two ways.
    Target(TargetError),
}

impl Request {
    /// Reads a request from its fields, pseudo-headers (`:method`, `:authority`, `:path`)
    /// included. Every one of them can be missing: CONNECT has no path, and a raw HTTP/1.0
    /// request no authority.
    ///
    /// # Errors
    /// [`Unreadable`] names the first part that cannot be judged.
    pub fn read(mut fields: Vec<(String, Vec<u8>)>) -> Result<Self, Unreadable> {
        let pseudo = fields.extract_if(.., |(name, _)| name.starts_with(':'));
        let (pseudo, headers) = (Headers(pseudo.collect()), Headers(fields));
        let method = pseudo.single(":method").filter(|text| is_token(text));
        match read_line(&pseudo, method) {
            Ok((method, authority, target)) => Ok(Self {
                method,
                authority,
                target,
                headers,
            }),
            Err(malformed) => Err(Unreadable {
                malformed,
                method: method.unwrap_or_default().to_owned(),
                headers,
            }),
        }
    }
}

/// The method, the authority in lower case, and the target.
fn read_line(
    pseudo: &Headers,
    method: Option<&str>,
) -> Result<(String, String, RequestTarget), Malformed> {
    let method = method.ok_or(Malformed::Method)?;
    let authority = pseudo
        .single(":authority")
        .filter(|text| is_authority(text));
    let authority = authority.ok_or(Malformed::Authority)?;
    let mut paths = pseudo.all(":path");
    let (Some(path), None) = (paths.next(), paths.next()) else {
        return Err(Malformed::Target(TargetError::Missing));
    };
    let target = RequestTarget::parse(path).map_err(Malformed::Target)?;
    Ok((method.to_owned(), authority.to_ascii_lowercase(), target))
}

/// `token` of RFC 9110 section 5.6.2, at most 32 bytes: no registered method is longer than 17.
fn is_token(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// The characters of a host and a port; no user information. A DNS name has at most 253 bytes.
fn is_authority(text: &str) -> bool {
    (1..=260).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority => f.write_str("expected one host in the request, but found none"),
            Self::Method => f.write_str("expected one method in the request, but found none"),
            Self::Target(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
        pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.to_vec()))
            .collect()
    }

    #[test]
    fn every_pseudo_header_may_be_missing_or_repeated() {
        let whole: [(&str, &[u8]); 3] = [
            (":method", b"GET"),
            (":authority", b"Tools.Example.com"),
            (":path", b"/a"),
        ];
        let request = Request::read(fields(&whole)).unwrap();
        assert_eq!(
            (request.method.as_str(), request.authority.as_str()),
            ("GET", "tools.example.com")
        );
        let expected = [
            Malformed::Method,
            Malformed::Authority,
            Malformed::Target(TargetError::Missing),
        ];
        for (index, error) in expected.into_iter().enumerate() {
            let mut missing = fields(&whole);
            missing.remove(index);
            assert_eq!(Request::read(missing).unwrap_err().malformed, error);
            let mut twice = fields(&whole);
            twice.push(twice[index].clone());
            assert_eq!(Request::read(twice).unwrap_err().malformed, error);
        }
    }

    #[test]
    fn hostile_bytes_are_refused_and_never_shown() {
        for host in [&b"\xff"[..], b"a b", b"a@b", b"", b"a/b", b"a\0"] {
            let read = Request::read(fields(&[
                (":method", b"GET"),
                (":authority", host),
                (":path", b"/"),
            ]));
            assert_eq!(read.unwrap_err().malformed, Malformed::Authority);
        }
        let headers = Headers::new(fields(&[("cookie", b"canary")]));
        assert_eq!(format!("{headers:?}"), r#"["cookie"]"#);
    }

    #[test]
    fn a_header_that_is_there_twice_has_no_single_value() {
        let headers = Headers::new(fields(&[
            ("a", b"1"),
            ("b", b"2"),
            ("a", b"3"),
            ("c", b"\xff"),
        ]));
        assert_eq!(headers.single("a"), None);
        assert_eq!(headers.single("b"), Some("2"));
        assert_eq!(headers.single("c"), None);
        assert_eq!(headers.all("a").count(), 2);
    }
}
