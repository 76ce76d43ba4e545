//! A request as it was received.

use std::fmt;

use crate::http::{Headers, RequestTarget, TargetError};

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
    pub fn read(fields: impl Into<Headers>) -> Result<Self, Unreadable> {
        let mut headers = fields.into();
        let method = headers.single(":method").filter(|text| is_token(text));
        let line = read_line(&headers, method).map_err(|why| {
            let method = method.unwrap_or_default().to_owned();
            (why, method)
        });
        headers.retain(|name| !name.starts_with(b":"));
        match line {
            Ok((method, authority, target)) => Ok(Self {
                method,
                authority,
                target,
                headers,
            }),
            Err((malformed, method)) => Err(Unreadable {
                malformed,
                method,
                headers,
            }),
        }
    }
}

/// The method, the authority in lower case, and the target.
fn read_line(
    fields: &Headers,
    method: Option<&str>,
) -> Result<(String, String, RequestTarget), Malformed> {
    let method = method.ok_or(Malformed::Method)?;
    let authority = fields
        .single(":authority")
        .filter(|text| is_authority(text));
    let authority = authority.ok_or(Malformed::Authority)?;
    let mut paths = fields.all(":path");
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
