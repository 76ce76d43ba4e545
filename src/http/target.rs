//! The request target: one normalisation, used by routing and by rules alike.
//!
//! A path that two servers could read in two ways is refused and not repaired: dot segments, empty
//! segments, `\`, and the encodings of `\`, `.` and NUL. What is left is compared in one form: what may
//! stand in a segment as it is (RFC 3986 section 3.3) is decoded, since servers read `%40` and `@` in
//! the same way, and everything else is encoded, hexadecimal digits in upper case (section 6.2.2).
//!
//! `%2F` and `;` have two readings that both occur in honest requests. A path with one of them is
//! kept with a mark, [`RequestTarget::ambiguity`], and nothing but a rule that was written for it
//! lets it through.

use std::fmt;

use crate::http::bytes::position;
use crate::http::shape::{Shape, stands_as_it_is};

/// Path and query of a request in origin form (RFC 9112 section 3.2.1).
#[derive(Clone, PartialEq, Eq)]
pub struct RequestTarget {
    /// As received; visible ASCII.
    raw: String,
    /// Where the query starts in `raw`, after the `?`.
    query_start: Option<usize>,
    /// `None` if it stands in `raw` as it is.
    normalized: Option<String>,
    ambiguity: Option<TargetError>,
}

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// A raw byte outside visible ASCII, a `#` or a `\`.
    Byte,
    /// `.` or `..` as a segment, also percent-encoded.
    DotSegment,
    /// `//`.
    EmptySegment,
    /// `%23` or `%3F`: a server that decodes twice ends the path there.
    EncodedDelimiter,
    /// `%5C`, `%2E`, an encoded control character, or octets that are not UTF-8.
    Encoding,
    /// `%2F`, which some servers read as `/` and others as a part of a name.
    EncodedSlash,
    /// No target, or more than one.
    Missing,
    /// It does not begin with `/`: `*`, an authority, an absolute URI.
    NotAPath,
    /// `;`, which some servers cut off and others keep.
    Parameter,
    /// More than [`RequestTarget::MAX_BYTES`].
    TooLong,
}

impl RequestTarget {
    /// The longest target that is judged, in bytes: RFC 9110 section 4.1 asks for at least 8,000.
    pub const MAX_BYTES: usize = 16_384;

    /// Reads a target.
    ///
    /// # Errors
    /// [`TargetError`] says why no rule can let it through.
    pub fn parse(bytes: &[u8]) -> Result<Self, TargetError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(TargetError::TooLong);
        }
        let query_at = position(bytes, b'?');
        let (path, query) = query_at
            .and_then(|at| bytes.split_at_checked(at))
            .unwrap_or((bytes, b""));
        let shape = Shape::of(path);
        if shape.is_refused() || Shape::of(query).is_refused() {
            return Err(TargetError::Byte);
        }
        let raw = std::str::from_utf8(bytes).map_err(|_| TargetError::Byte)?;
        let raw_path = raw.get(..path.len()).unwrap_or_default();
        let (normalized, ambiguity) = normalize(raw_path, shape)?;
        Ok(Self {
            raw: raw.to_owned(),
            query_start: query_at.map(|at| at.saturating_add(1)),
            normalized,
            ambiguity,
        })
    }

    /// The normalised path. Rules and routing see nothing else.
    #[must_use]
    pub fn path(&self) -> &str {
        let as_received = || {
            let end = self.query_start.and_then(|start| start.checked_sub(1));
            self.raw.get(..end.unwrap_or(self.raw.len()))
        };
        match &self.normalized {
            Some(path) => path,
            None => as_received().unwrap_or_default(),
        }
    }

    /// Why the path can be read in more than one way: [`TargetError::EncodedSlash`] or
    /// [`TargetError::Parameter`].
    #[must_use]
    pub fn ambiguity(&self) -> Option<TargetError> {
        self.ambiguity
    }

    /// Whether a server that decodes twice would read a shorter path.
    #[must_use]
    pub fn has_encoded_delimiter(&self) -> bool {
        let mut octets = self.path().split('%').skip(1);
        octets.any(|rest| rest.starts_with("23") || rest.starts_with("3F"))
    }

    /// All paths that a server could take it for, the normalised one first.
    #[must_use]
    pub fn readings(&self) -> Vec<String> {
        match self.ambiguity {
            None => vec![self.path().to_owned()],
            Some(_) => readings(self.path()),
        }
    }

    /// The query as received, without the `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query_start.and_then(|start| self.raw.get(start..))
    }

    /// Path and query as received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.raw
    }
}

/// The path in the form that is compared, `None` if it is `raw`; and whether that has two readings.
fn normalize(
    raw: &str,
    shape: Shape,
) -> Result<(Option<String>, Option<TargetError>), TargetError> {
    if !raw.starts_with('/') {
        return Err(TargetError::NotAPath);
    }
    // The common path has nothing to decode, nothing to encode, and no segment to look at.
    if shape.is_plain() {
        if shape.may_have_dots() {
            check_segments(raw)?;
        }
        return Ok((None, None));
    }
    let mut path = String::with_capacity(raw.len());
    let mut octets = Vec::with_capacity(raw.len());
    let mut ambiguity = None;
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            if byte == b';' {
                ambiguity = Some(TargetError::Parameter);
            }
            match byte {
                b'/' | b';' => path.push(char::from(byte)),
                byte => push_octet(&mut path, byte),
            }
            octets.push(byte);
            continue;
        }
        let octet = rest
            .next()
            .zip(rest.next())
            .and_then(|(high, low)| hex_octet(high, low));
        let octet = octet.ok_or(TargetError::Encoding)?;
        match octet {
            b'\\' | b'.' | 0..=0x1f | 0x7f => return Err(TargetError::Encoding),
            octet => push_octet(&mut path, octet),
        }
        match octet {
            b'/' => ambiguity = ambiguity.or(Some(TargetError::EncodedSlash)),
            // Some servers decode first and cut then (CVE-2020-13933).
            b';' => ambiguity = Some(TargetError::Parameter),
            _ => {}
        }
        octets.push(octet);
    }
    // Overlong forms such as %C0%AE are no UTF-8.
    let decoded = std::str::from_utf8(&octets).map_err(|_| TargetError::Encoding)?;
    check_lookalikes(decoded)?;
    match ambiguity {
        None => check_segments(&path)?,
        Some(_) => readings(&path)
            .iter()
            .try_for_each(|reading| check_segments(reading))?,
    }
    Ok((Some(path), ambiguity))
}

fn push_octet(path: &mut String, octet: u8) {
    match stands_as_it_is(octet) {
        true => path.push(char::from(octet)),
        false => path.push_str(&format!("%{octet:02X}")),
    }
}

fn check_segments(path: &str) -> Result<(), TargetError> {
    let mut segments = path.split('/');
    // What stands before the first slash, and behind the last one, may be empty.
    segments.next();
    let (mut is_behind_empty, mut has_dots) = (false, false);
    for segment in segments {
        if is_behind_empty {
            return Err(TargetError::EmptySegment);
        }
        is_behind_empty = segment.is_empty();
        has_dots |= matches!(segment, "." | "..");
    }
    match has_dots {
        true => Err(TargetError::DotSegment),
        false => Ok(()),
    }
}

/// What servers that fold Unicode, or trim names, would read as a dot segment: full-width dots and
/// slashes, and `..` with spaces around it, with a parameter, or with something in it that is not seen.
fn check_lookalikes(decoded: &str) -> Result<(), TargetError> {
    let mut path = String::with_capacity(decoded.len());
    for c in decoded.chars() {
        match c {
            '\u{2024}' | '\u{fe52}' | '\u{ff0e}' => path.push('.'),
            '\u{2025}' | '\u{fe30}' => path.push_str(".."),
            '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{29f5}' | '\u{29f8}' => path.push('/'),
            '\u{fe68}' | '\u{ff0f}' | '\u{ff3c}' => path.push('/'),
            '\u{37e}' | '\u{fe14}' | '\u{fe54}' | '\u{ff1b}' => path.push(';'),
            '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' => {}
            '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => {}
            c => path.push(c),
        }
    }
    let is_dots = |segment: &str| {
        let name = segment.split(';').next().unwrap_or_default();
        matches!(name.trim(), "." | "..")
    };
    match path.split('/').any(is_dots) {
        true => Err(TargetError::DotSegment),
        false => Ok(()),
    }
}

/// As it stands; with parameters cut off, from each segment or all that follows; with `%2F` as a
/// separator; and both, in either order.
fn readings(path: &str) -> Vec<String> {
    let path = &path.replace("%3B", ";");
    let separated = |path: &str| path.replace("%2F", "/");
    let cut_short = |path: &str| match path.split_once(';') {
        Some((head, _)) => head.to_owned(),
        None => path.to_owned(),
    };
    let cut = |path: &str| {
        let names = path
            .split('/')
            .map(|segment| match segment.split_once(';') {
                Some((name, _)) => name,
                None => segment,
            });
        names.collect::<Vec<_>>().join("/")
    };
    vec![
        path.to_owned(),
        cut(path),
        separated(path),
        cut(&separated(path)),
        separated(&cut(path)),
        cut_short(path),
        cut_short(&separated(path)),
        separated(&cut_short(path)),
    ]
}

fn hex_octet(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let octet = digit(high)?.checked_mul(16)?.checked_add(digit(low)?)?;
    u8::try_from(octet).ok()
}

impl fmt::Debug for RequestTarget {
    /// The path alone: the query of a callback holds the code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestTarget({:?})", self.path())
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = match self {
            Self::Byte => "a byte that a path may not hold",
            Self::DotSegment => "a dot segment",
            Self::EmptySegment => "an empty segment",
            Self::EncodedDelimiter => "\"%23\" or \"%3F\", though everybody is allowed",
            Self::EncodedSlash => "\"%2F\"",
            Self::Encoding => "an encoded \"\\\", dot or control character, or no UTF-8",
            Self::Missing => "none, or more than one",
            Self::NotAPath => "one that does not begin with \"/\"",
            Self::Parameter => "a \";\"",
            Self::TooLong => "one that is too long",
        };
        write!(f, "expected one unambiguous path, but found {found}")
    }
}

impl std::error::Error for TargetError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_targets_are_refused() {
        use TargetError::{Byte, DotSegment, EmptySegment, Encoding, NotAPath};
        let table: [(&[u8], TargetError); 50] = [
            (b"", NotAPath),
            (b"*", NotAPath),
            (b"?x", NotAPath),
            (b"x", NotAPath),
            (b"http://evil.test/", NotAPath),
            (b"//evil.test", EmptySegment),
            (b"/a//b", EmptySegment),
            (b"/.", DotSegment),
            (b"/..", DotSegment),
            (b"/public/../admin", DotSegment),
            (b"/public/./admin", DotSegment),
            (b"/public/..", DotSegment),
            (b"/public/%2e%2e/admin", Encoding),
            (b"/public/.%2E/admin", Encoding),
            (b"/%2fevil.test", EmptySegment),
            (b"/a%2f%2Fb", EmptySegment),
            (b"/a%2f/b", EmptySegment),
            (b"/;x/a", EmptySegment),
            (b"/a%2f..%2fadmin", DotSegment),
            (b"/a/.;x/admin", DotSegment),
            (b"/a/%2e;x/admin", Encoding),
            (b"/a%2f..;x", DotSegment),
            (b"/admin%5Cusers", Encoding),
            (b"/health%00", Encoding),
            (b"/health%0a", Encoding),
            (b"/health%7f", Encoding),
            (b"/%c0%ae%c0%ae/", Encoding),
            (b"/%ff", Encoding),
            (b"/%", Encoding),
            (b"/%4", Encoding),
            (b"/%zz", Encoding),
            (b"/%+1", Encoding),
            (b"/public/..;/admin", DotSegment),
            // What Unicode, or what cannot be seen, makes a dot segment.
            (b"/a/%EF%BC%8E%ef%bc%8e/b", DotSegment),
            (b"/a/.%ef%bc%8e", DotSegment),
            (b"/a/%e2%80%a5/b", DotSegment),
            (b"/a/%e2%80%a4./b", DotSegment),
            (b"/a%ef%bc%8f..%ef%bc%8fb", DotSegment),
            (b"/a%e2%88%95..%ef%bc%bcb", DotSegment),
            (b"/a/..%20/b", DotSegment),
            (b"/a/%20..", DotSegment),
            (b"/a/..%e3%80%80/b", DotSegment),
            (b"/a/..%c2%a0", DotSegment),
            (b"/a/.%e2%80%8b./b", DotSegment),
            (b"/a/..%ef%bb%bf/b", DotSegment),
            (b"/a/..%ef%bc%9bx/b", DotSegment),
            (b"/a/.%cc%81./b", DotSegment),
            (b"/a\\b", Byte),
            (b"/admin#/public", Byte),
            (b"/admin/\xff", Byte),
        ];
        for (raw, error) in table {
            let shown = String::from_utf8_lossy(raw);
            assert_eq!(RequestTarget::parse(raw), Err(error), "{shown}");
        }
        for byte in (0..=0x20_u8).chain(0x7f..=0xff) {
            assert_eq!(
                RequestTarget::parse(&[b'/', byte]),
                Err(Byte),
                "byte {byte:#04x}"
            );
        }
        let long = [b"/".to_vec(), vec![b'a'; RequestTarget::MAX_BYTES]].concat();
        assert_eq!(RequestTarget::parse(&long), Err(TargetError::TooLong));
    }

    #[test]
    fn a_path_with_two_readings_is_marked() {
        use TargetError::{EncodedSlash, Parameter};
        let parse = |raw: &[u8]| RequestTarget::parse(raw).unwrap();
        for (raw, ambiguity) in [
            (&b"/@scope%2fname"[..], Some(EncodedSlash)),
            (b"/a/b%2F", Some(EncodedSlash)),
            (b"/health;jsessionid=1", Some(Parameter)),
            (b"/a;b%2fc", Some(Parameter)),
            (b"/a%3Bb", Some(Parameter)),
            (b"/a?b=%2f;", None),
        ] {
            assert_eq!(parse(raw).ambiguity(), ambiguity);
        }
        assert_eq!(
            parse(b"/a%2fb;x%2fc/d").readings(),
            [
                "/a%2Fb;x%2Fc/d",
                "/a%2Fb/d",
                "/a/b;x/c/d",
                "/a/b/c/d",
                "/a/b/d",
                "/a%2Fb",
                "/a/b",
                "/a/b"
            ]
        );
        assert_eq!(parse(b"/a").readings(), ["/a"]);
    }

    #[test]
    fn equal_paths_become_the_same_text() {
        let path = |raw: &str| {
            RequestTarget::parse(raw.as_bytes())
                .unwrap()
                .path()
                .to_owned()
        };
        assert_eq!(path("/%61dmin"), "/admin");
        assert_eq!(path("/a%7Eb%2D"), "/a~b-");
        assert_eq!(path("/caf%c3%a9"), "/caf%C3%A9");
        assert_eq!(path("/%40scope%2b%3A%3d"), "/@scope+:=");
        assert_eq!(path("/@scope%2fname").replace("%2F", ""), "/@scopename");
        for byte in b'!'..=b'~' {
            if !b"/?#;.\\%".contains(&byte) {
                let (raw, encoded) = (format!("/{}", char::from(byte)), format!("/%{byte:02x}"));
                assert_eq!(path(&raw), path(&encoded), "{raw}");
            }
        }
        assert_eq!(path("/a%20b"), "/a%20b");
        // Encoded twice is data: it is compared as it stands.
        assert_eq!(path("/%252e%252e/x"), "/%252e%252e/x");
        assert_eq!(path("/health/"), "/health/");
        assert_eq!(path("/..."), "/...");
        // Names as people give them stay, however wide.
        for name in [
            "/wiki/%EF%BC%9F",
            "/a%E2%80%A6",
            "/%E2%80%A6",
            "/a%20/b",
            "/a%EF%BC%8Eb%EF%BC%8F",
            "/x%EF%BC%9By",
        ] {
            assert_eq!(path(name), name);
        }
    }

    #[test]
    fn the_query_is_kept_as_received_and_apart() {
        let target = RequestTarget::parse(b"/a?b=%2e%2e/;c//&d=/../?e").unwrap();
        assert_eq!(target.path(), "/a");
        assert_eq!(target.query(), Some("b=%2e%2e/;c//&d=/../?e"));
        assert_eq!(RequestTarget::parse(b"/a?").unwrap().query(), Some(""));
        assert_eq!(RequestTarget::parse(b"/a").unwrap().query(), None);
    }
}
