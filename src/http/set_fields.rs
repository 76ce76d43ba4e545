//! Header fields that a message gets.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Header fields to set, each in place of all values of its name. Values are bytes, since a cookie of somebody
/// else's may hold any.
///
/// They lie in one piece of memory, one behind the other: a piece for each costs more than to write it.
#[derive(Clone, Default)]
pub struct SetFields {
    values: Vec<u8>,
    fields: Vec<(Cow<'static, str>, Range<usize>)>,
}

impl SetFields {
    /// Makes room for so many more fields, and for so many bytes of their values.
    pub fn reserve(&mut self, fields: usize, bytes: usize) {
        self.fields.reserve(fields);
        self.values.reserve(bytes);
    }

    /// Adds a field, whose value is the parts one behind the other.
    pub fn push(&mut self, name: Cow<'static, str>, parts: &[&[u8]]) {
        let start = self.values.len();
        for part in parts {
            self.values.extend_from_slice(part);
        }
        self.fields.push((name, start..self.values.len()));
    }

    /// Names and values in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let of = |range: &Range<usize>| self.values.get(range.clone()).unwrap_or_default();
        self.fields
            .iter()
            .map(move |(name, range)| (&**name, of(range)))
    }

    /// Whether there is a field called `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }
}

impl fmt::Debug for SetFields {
    /// Values may be credentials or cookies: names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.fields.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_was_added_and_are_never_shown() {
        let mut set = SetFields::default();
        set.reserve(1, 4);
        set.push("a".into(), &[b"can", b"ary"]);
        set.push("b".into(), &[]);
        set.push("c".into(), &[b"\xff"]);
        let found: Vec<_> = set.iter().collect();
        assert_eq!(
            found,
            [("a", &b"canary"[..]), ("b", &b""[..]), ("c", &b"\xff"[..])]
        );
        assert!(set.contains("b") && !set.contains("d"));
        assert_eq!(format!("{set:?}"), r#"["a", "b", "c"]"#);
    }
}
