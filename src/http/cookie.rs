//! Cookies: reading, stripping and setting (RFC 6265 sections 4.1 and 4.2, RFC 6265bis).

use std::borrow::Cow;

use crate::http::bytes::position;
use crate::http::{HeaderValue, Headers};
use crate::sorted::sorted;
use crate::time::Seconds;

/// The most bytes of one cookie, name, value and attributes together. RFC 6265 section 6.1 lets
/// user agents drop a larger one, and they do so silently.
pub const MAX_COOKIE_BYTES: usize = 4_096;

/// The cookies of one request, in order, from all `Cookie` fields: HTTP/1.1 clients may send two.
#[derive(Debug)]
pub struct Cookies<'a>(Vec<Pair<'a>>);

#[derive(Clone, Copy, Debug)]
struct Pair<'a> {
    name: &'a [u8],
    value: &'a [u8],
    /// As received, for passing on.
    raw: &'a [u8],
}

impl<'a> Pair<'a> {
    fn read(raw: &'a [u8]) -> Self {
        let equals = position(raw, b'=');
        let pair = equals.and_then(|at| raw.split_at_checked(at));
        let (name, value) = pair.unwrap_or((raw, b""));
        let value = value.strip_prefix(b"=").unwrap_or(value);
        Self { name, value, raw }
    }
}

/// More than most requests bring.
const USUAL: usize = 8;

impl<'a> Cookies<'a> {
    /// Reads every `Cookie` field. Nothing is an error here: what is no pair is passed on as is.
    #[must_use]
    pub fn read(headers: &'a Headers) -> Self {
        let mut pairs = Vec::new();
        for field in headers.all("cookie") {
            let mut rest = Some(field);
            while let Some(text) = rest {
                let end = position(text, b';').and_then(|at| text.split_at_checked(at));
                let (piece, after) = end.unwrap_or((text, b""));
                rest = after.strip_prefix(b";");
                let piece = piece.trim_ascii();
                if piece.is_empty() {
                    continue;
                }
                if pairs.is_empty() {
                    pairs.reserve(USUAL);
                }
                pairs.push(Pair::read(piece));
            }
        }
        Self(pairs)
    }

    /// The value of `name`, compared exactly, if it is there once or with equal values. Two
    /// different values are ambiguous, and an ambiguous cookie is an absent one.
    #[must_use]
    pub fn single(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.single_bytes(name)?).ok()
    }

    /// The same, whether or not it is text: for those that are only compared.
    #[must_use]
    pub fn single_bytes(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.named(name);
        let value = values.next()?;
        values.all(|other| other == value).then_some(value)
    }

    /// Whether there is a cookie called `name`, whatever it holds.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// Whether there is a cookie whose name begins with `prefix`, exactly.
    #[must_use]
    pub fn contains_prefix(&self, prefix: &str) -> bool {
        let prefix = prefix.as_bytes();
        self.0.iter().any(|pair| pair.name.starts_with(prefix))
    }

    fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        let wanted = name.as_bytes();
        self.0
            .iter()
            .filter(move |pair| pair.name == wanted)
            .map(|pair| pair.value)
    }

    /// The names that begin with `prefix`, exactly, each once.
    #[must_use]
    pub fn names_with_prefix(&self, prefix: &str) -> Vec<&'a str> {
        let names: Vec<&str> = self
            .0
            .iter()
            .filter_map(|pair| std::str::from_utf8(pair.name).ok())
            .filter(|name| name.starts_with(prefix))
            .collect();
        let mut names = sorted(names);
        names.dedup();
        names
    }

    /// The `Cookie` field without the cookies whose name is one of `ours`. `None` if nothing was taken
    /// out; an empty field if nothing is left.
    #[must_use]
    pub fn without(&self, ours: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let kept = self.0.iter().filter(|pair| !ours(pair.name));
        let kept: Vec<_> = kept.map(|pair| pair.raw).collect();
        (kept.len() != self.0.len()).then(|| kept.join(&b"; "[..]))
    }
}

/// A cookie to be set: for this host only and over a secure channel, unreadable for scripts, and sent
/// along when another site links to us, because Bitbucket does. One for every path has a name with
/// `__Host-` before it, one for some `__Secure-` (RFC 6265bis sections 4.1.3.1 and 4.1.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCookie {
    name: Cow<'static, str>,
    value: String,
    max_age: Seconds,
    path: &'static str,
}

const ATTRIBUTES: &str = "Secure; HttpOnly; SameSite=Lax";

impl SetCookie {
    /// Sets `name` to `value` for `max_age`, for every path.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, value: String, max_age: Seconds) -> Self {
        Self {
            name: name.into(),
            value,
            max_age,
            path: "/",
        }
    }

    /// The same for what lies below `path` alone.
    #[must_use]
    pub fn below(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// Takes `name` away. The attributes must be those of its making, or browsers keep it.
    #[must_use]
    pub fn removal(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, String::new(), Seconds(0))
    }

    /// The header value; `None` if name or value has a byte that would end it.
    #[must_use]
    pub fn header_value(&self) -> Option<HeaderValue> {
        let is_octet =
            |b: u8| matches!(b, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        let clean = self.name.bytes().chain(self.value.bytes()).all(is_octet);
        let Self {
            name,
            value,
            max_age,
            path,
        } = self;
        let text = format!(
            "{name}={value}; Max-Age={}; Path={path}; {ATTRIBUTES}",
            max_age.0
        );
        if clean {
            HeaderValue::try_from(text).ok()
        } else {
            None
        }
    }

    /// The bytes that a value of this cookie may have at the most, for a name of `name_bytes` and a path
    /// of up to 12.
    #[must_use]
    pub fn room(name_bytes: usize) -> usize {
        // "=", "; Max-Age=" with up to ten digits, "; Path=" with the path, "; ".
        let around = ATTRIBUTES
            .len()
            .saturating_add(43)
            .saturating_add(name_bytes);
        MAX_COOKIE_BYTES.saturating_sub(around)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_ours(name: &[u8]) -> bool {
        name.to_ascii_lowercase().starts_with(b"__host-bitgate")
    }

    fn headers(fields: &[&[u8]]) -> Headers {
        Headers::new(
            fields
                .iter()
                .map(|f| ("cookie".to_owned(), f.to_vec()))
                .collect(),
        )
    }

    #[test]
    fn both_cookie_fields_are_read() {
        let headers = headers(&[b"a=1; b=2", b"c=3"]);
        let cookies = Cookies::read(&headers);
        assert_eq!(cookies.single("a"), Some("1"));
        assert_eq!(cookies.single("c"), Some("3"));
        assert_eq!(cookies.single("d"), None);
    }

    #[test]
    fn two_different_values_are_no_value() {
        let different = headers(&[b"a=1; a=2"]);
        assert_eq!(Cookies::read(&different).single("a"), None);
        let equal = headers(&[b"a=1", b"a=1"]);
        assert_eq!(Cookies::read(&equal).single("a"), Some("1"));
    }

    #[test]
    fn malformed_fields_never_trap_and_pass_on() {
        for field in [
            &b";"[..],
            b"=",
            b";;=;",
            b"a",
            b"a=b;",
            b"a = b",
            b"\xff\xfe=\xff",
            b"$Version=1",
        ] {
            let headers = headers(&[field, b"x=1"]);
            let cookies = Cookies::read(&headers);
            assert_eq!(cookies.single("x"), Some("1"));
            assert_eq!(cookies.without(is_ours), None);
        }
    }

    #[test]
    fn ours_are_taken_out_in_every_case_and_the_rest_stays_byte_by_byte() {
        let headers = headers(&[
            b"a=1; __Host-bitgate=x;b=\"q\\xff\"",
            b"__HOST-Bitgate-grant.1=y; c=\xff",
        ]);
        let kept = Cookies::read(&headers).without(is_ours).unwrap();
        assert_eq!(kept, b"a=1; b=\"q\\xff\"; c=\xff");
        let only_ours = super::tests::headers(&[b"__Host-bitgate=x"]);
        assert_eq!(Cookies::read(&only_ours).without(is_ours), Some(vec![]));
    }

    #[test]
    fn a_name_in_another_case_is_not_ours_to_read() {
        let headers = headers(&[b"__host-bitgate=x"]);
        assert_eq!(Cookies::read(&headers).single("__Host-bitgate"), None);
    }

    #[test]
    fn a_cookie_is_set_and_removed_with_the_same_attributes() {
        let set = SetCookie::new("__Host-x", "v".to_owned(), Seconds(60))
            .header_value()
            .unwrap();
        assert_eq!(
            set.as_str(),
            "__Host-x=v; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        let gone = SetCookie::removal("__Host-x").header_value().unwrap();
        assert_eq!(
            gone.as_str(),
            "__Host-x=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        let below = SetCookie::new("__Secure-x", "v".to_owned(), Seconds(60)).below("/x/");
        assert_eq!(
            below.header_value().unwrap().as_str(),
            "__Secure-x=v; Max-Age=60; Path=/x/; Secure; HttpOnly; SameSite=Lax"
        );
        for value in ["a;b", "a b", "a\r\nb", "a,b", "\"", "\u{e9}"] {
            assert_eq!(
                SetCookie::new("x", value.to_owned(), Seconds(1)).header_value(),
                None
            );
        }
    }

    #[test]
    fn the_room_for_a_value_leaves_the_whole_cookie_within_the_limit() {
        let value = "v".repeat(SetCookie::room(8));
        let cookie = SetCookie::new("__Host-x", value, Seconds(9_999_999_999));
        let cookie = cookie.below("/_bitgate/__");
        assert!(cookie.header_value().unwrap().as_str().len() <= MAX_COOKIE_BYTES);
    }
}
