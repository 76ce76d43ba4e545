//! How a rule or a path names a workspace or a repository.
//!
//! ```text
//! name = slug / "{" UUID "}"
//! ```
//! A slug can be renamed, and somebody else can take it then; a UUID stays. The braces are a part of
//! Bitbucket's UUIDs, and tell them from slugs.

use std::borrow::Cow;
use std::fmt;

/// The longest slug, as Bitbucket has it.
const MAX_SLUG_BYTES: usize = 62;

/// A workspace or a repository, by one of its two names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The readable name in addresses: lower case, and nobody's for ever.
    Slug(String),
    /// The name that stays, with its braces and in lower case.
    Uuid(String),
}

/// Why a text names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// A UUID without its braces could be a slug, too.
    Ambiguous,
    /// Characters that no slug has, or too many of them.
    Slug,
    /// Braces, and no UUID between them.
    Uuid,
}

impl Name {
    /// Reads a workspace's name: its slug has `a-z`, `0-9`, `_` and `-`.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn workspace(text: &str) -> Result<Self, NameError> {
        Self::parse(text, |byte| matches!(byte, b'_' | b'-'))
    }

    /// Reads a repository's name: its slug may have dots, too.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn repository(text: &str) -> Result<Self, NameError> {
        let name = Self::parse(text, |byte| matches!(byte, b'_' | b'-' | b'.'))?;
        match name.as_str().bytes().all(|byte| byte == b'.') {
            true => Err(NameError::Slug),
            false => Ok(name),
        }
    }

    fn parse(text: &str, is_mark: impl Fn(u8) -> bool) -> Result<Self, NameError> {
        let inner = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        if let Some(inner) = inner {
            return match is_uuid(inner) {
                true => Ok(Self::Uuid(text.to_ascii_lowercase())),
                false => Err(NameError::Uuid),
            };
        }
        if is_uuid(text) {
            return Err(NameError::Ambiguous);
        }
        let is_slug =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || is_mark(byte);
        let fits = (1..=MAX_SLUG_BYTES).contains(&text.len());
        match fits && text.bytes().all(is_slug) {
            true => Ok(Self::Slug(text.to_owned())),
            false => Err(NameError::Slug),
        }
    }

    /// The text, with the braces of a UUID.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Slug(text) | Self::Uuid(text) => text,
        }
    }
}

/// A segment of a normalised path as a name: braces are always encoded there, and nothing else that
/// a name holds is.
#[must_use]
pub(super) fn decoded(segment: &str) -> Cow<'_, str> {
    match segment.contains('%') {
        true => segment.replace("%7B", "{").replace("%7D", "}").into(),
        false => segment.into(),
    }
}

/// `8-4-4-4-12` hexadecimal digits (RFC 9562 section 4).
fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for NameError {
    /// The expectation; the caller says what was found.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ambiguous => "expected a UUID with its braces, or a slug",
            Self::Slug => "expected a slug in lower case, or a UUID with its braces",
            Self::Uuid => "expected a UUID between the braces",
        })
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_slugs_or_uuids_with_braces() {
        use NameError::{Ambiguous, Slug, Uuid};
        let uuid = "{77aa0000-1111-4222-8333-444455556666}";
        let slug = |text: &str| Ok(Name::Slug(text.to_owned()));
        let table = [
            ("acme", slug("acme")),
            ("beta-labs_2", slug("beta-labs_2")),
            (uuid, Ok(Name::Uuid(uuid.to_owned()))),
            (
                "{77AA0000-1111-4222-8333-444455556666}",
                Ok(Name::Uuid(uuid.to_owned())),
            ),
            ("77aa0000-1111-4222-8333-444455556666", Err(Ambiguous)),
            ("77AA0000-1111-4222-8333-444455556666", Err(Ambiguous)),
            ("{77aa0000-1111-4222-8333-44445555666}", Err(Uuid)),
            ("{acme}", Err(Uuid)),
            ("{}", Err(Uuid)),
            ("", Err(Slug)),
            ("Acme", Err(Slug)),
            ("ac.me", Err(Slug)),
            ("ac me", Err(Slug)),
            ("caf\u{e9}", Err(Slug)),
            ("acme%20", Err(Slug)),
        ];
        for (text, expected) in table {
            assert_eq!(Name::workspace(text), expected, "{text}");
        }
        assert_eq!(Name::workspace(&"a".repeat(63)), Err(Slug));
        assert_eq!(Name::repository("my.repo"), slug("my.repo"));
        assert_eq!(Name::repository("."), Err(Slug));
        assert_eq!(Name::repository(".."), Err(Slug));
        assert_eq!(decoded("%7Ba-b%7D"), "{a-b}");
        assert_eq!(decoded("a%20b"), "a%20b");
    }
}
