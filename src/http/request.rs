//! A request as it was received.

use std::borrow::Cow;
use std::fmt;

use crate::http::{Headers, RequestTarget, TargetError};

/// A request that can be judged: method, authority and target are there and unambiguous.
#[derive(Debug)]
pub struct Request {
    /// The method as sent; methods are case-sensitive (RFC 9110 section 9.1).
    pub method: Cow<'static, str>,
    /// Host and port as sent, in lower case.
    pub authority: String,
    /// Path and query.
    pub target: RequestTarget,
    /// The header fields, pseudo-headers included, which no name of a field is like.
    pub headers: Headers,
}

/// A request that cannot be judged, with what is needed to answer it.
#[derive(Debug)]
pub struct Unreadable {
    /// Why.
    pub malformed: Malformed,
    /// The method as sent; empty if that is what is wrong.
    pub method: Cow<'static, str>,
    /// The header fields, pseudo-headers included, which no name of a field is like.
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
    pub fn read(fields: impl Into<Headers>) -> Result<Self, Unreadable> {
        let headers = fields.into();
        let line = Line::of(&headers);
        let method = line.method.value().and_then(method);
        let authority = line.authority.value().and_then(authority);
        let target = || {
            let path = line.path.value().ok_or(TargetError::Missing)?;
            RequestTarget::parse(path)
        };
        let (malformed, method) = match (method, authority) {
            (None, _) => (Malformed::Method, Cow::Borrowed("")),
            (Some(method), None) => (Malformed::Authority, method),
            (Some(method), Some(authority)) => match target() {
                Ok(target) => {
                    return Ok(Self {
                        method,
                        authority,
                        target,
                        headers,
                    });
                }
                Err(why) => (Malformed::Target(why), method),
            },
        };
        Err(Unreadable {
            malformed,
            method,
            headers,
        })
    }
}

/// What stands in the request line of HTTP/1.1.
#[derive(Default)]
struct Line<'h> {
    method: Single<'h>,
    authority: Single<'h>,
    path: Single<'h>,
}

/// A field that must be there once.
#[derive(Clone, Copy, Default)]
enum Single<'h> {
    #[default]
    Missing,
    Value(&'h [u8]),
    Repeated,
}

impl<'h> Line<'h> {
    /// Looks at each field once.
    fn of(fields: &'h Headers) -> Self {
        let mut line = Self::default();
        for (name, value) in fields.iter() {
            let Some(name) = name.strip_prefix(b":") else {
                continue;
            };
            let single = match name {
                b"method" => &mut line.method,
                b"authority" => &mut line.authority,
                b"path" => &mut line.path,
                _ => continue,
            };
            *single = match single {
                Single::Missing => Single::Value(value),
                Single::Value(_) | Single::Repeated => Single::Repeated,
            };
        }
        line
    }
}

impl<'h> Single<'h> {
    fn value(self) -> Option<&'h [u8]> {
        match self {
            Self::Value(value) => Some(value),
            Self::Missing | Self::Repeated => None,
        }
    }
}

/// What most requests have, which nobody has to copy.
const USUAL: [&str; 7] = ["GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// `token` of RFC 9110 section 5.6.2, at most 32 bytes: no registered method is longer than 17.
fn method(bytes: &[u8]) -> Option<Cow<'static, str>> {
    let mut usual = USUAL.into_iter();
    if let Some(method) = usual.find(|method| method.as_bytes() == bytes) {
        return Some(Cow::Borrowed(method));
    }
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    if !(1..=32).contains(&bytes.len()) || !bytes.iter().all(is_token) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    Some(Cow::Owned(text.to_owned()))
}

/// The characters of a host and a port; no user information. A DNS name has at most 253 bytes.
fn authority(bytes: &[u8]) -> Option<String> {
    let is_host =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'[' | b']');
    if !(1..=260).contains(&bytes.len()) || !bytes.iter().all(is_host) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    Some(text.to_ascii_lowercase())
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
            (&*request.method, request.authority.as_str()),
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
    fn hostile_bytes_are_refused() {
        for host in [&b"\xff"[..], b"a b", b"a@b", b"", b"a/b", b"a\0"] {
            let read = Request::read(fields(&[
                (":method", b"GET"),
                (":authority", host),
                (":path", b"/"),
            ]));
            assert_eq!(read.unwrap_err().malformed, Malformed::Authority);
        }
    }
}
