//! The cookies of a grant: up to five that only belong together.
//!
//! ```text
//! __Host-bitgate-grant       = count "." first part of the box
//! __Host-bitgate-grant.1     = second part …
//! __Host-bitgate-grant-ci    = the same of the consumer "ci"
//! ```
//! One box is sealed and then cut, so parts of two grants never open.

use std::borrow::Cow;
use std::fmt;

use crate::http::{Cookies, SetCookie};
use crate::session::key_ring::Purpose;
use crate::session::sealed_box::Place;
use crate::time::Seconds;

/// The cookies of the main sign-in's grant, in order.
const MAIN: [&str; 5] = [
    "__Host-bitgate-grant",
    "__Host-bitgate-grant.1",
    "__Host-bitgate-grant.2",
    "__Host-bitgate-grant.3",
    "__Host-bitgate-grant.4",
];

/// The cookies of all further consumers begin with this.
pub(super) const NAMED_PREFIX: &str = "__Host-bitgate-grant-";

/// A grant does not fit its cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Where the grant of one consumer lies.
#[derive(Clone)]
pub struct GrantCookies {
    names: [Cow<'static, str>; MAIN.len()],
    /// What its boxes are bound to.
    place: Cow<'static, str>,
    consumer: Option<String>,
}

/// Which of a grant's cookies a request brought.
#[derive(Clone, Copy, Debug)]
pub struct Present([bool; MAIN.len()]);

impl GrantCookies {
    /// Those of the main sign-in.
    #[must_use]
    pub const fn main() -> Self {
        let [a, b, c, d, e] = MAIN;
        Self {
            names: [
                Cow::Borrowed(a),
                Cow::Borrowed(b),
                Cow::Borrowed(c),
                Cow::Borrowed(d),
                Cow::Borrowed(e),
            ],
            place: Cow::Borrowed(a),
            consumer: None,
        }
    }

    /// Those of a further consumer, whose `name` has small letters, digits and `-` only. They are
    /// bound to its `client_id` too: a name can get another consumer in a new configuration.
    #[must_use]
    pub fn of(name: &str, client_id: &str) -> Self {
        let first = format!("{NAMED_PREFIX}{name}");
        Self {
            names: [
                first.clone().into(),
                format!("{first}.1").into(),
                format!("{first}.2").into(),
                format!("{first}.3").into(),
                format!("{first}.4").into(),
            ],
            // No cookie's name has a space.
            place: format!("{first} {client_id}").into(),
            consumer: Some(name.to_owned()),
        }
    }

    /// The consumer's name; `None` for the main one.
    #[must_use]
    pub fn consumer(&self) -> Option<&str> {
        self.consumer.as_deref()
    }

    /// The name of the cookie that is always there.
    #[must_use]
    pub fn first(&self) -> &str {
        let [first, ..] = &self.names;
        first
    }

    pub(super) fn place<'a>(&'a self, session_id: &'a str) -> Place<'a> {
        Place {
            purpose: Purpose::Grant,
            cookie: &self.place,
            session_id,
        }
    }

    /// Which of them a request brought.
    #[must_use]
    pub fn present(&self, cookies: &Cookies<'_>) -> Present {
        Present(self.names.each_ref().map(|name| cookies.contains(name)))
    }

    /// The parts that a request brought. `None` if the first cookie is missing, has no count, or
    /// another part is missing.
    pub(super) fn read<'c>(&self, cookies: &Cookies<'c>) -> Option<Parts<'c>> {
        let mut names = self.names.iter();
        let (count, first) = cookies.single(names.next()?)?.split_once('.')?;
        let count = (1..=MAIN.len()).find(|n| count == digit(*n))?;
        let mut parts = [""; MAIN.len()];
        let mut slots = parts.iter_mut();
        *slots.next()? = first;
        for (name, slot) in names.zip(slots).take(count.saturating_sub(1)) {
            *slot = cookies.single(name)?;
        }
        Some(Parts { parts })
    }

    /// Cuts a sealed grant into cookies that live for `max_age`. Those of an earlier grant that the
    /// request brought, and this one does not need, are taken away.
    pub(super) fn cut(
        &self,
        text: &str,
        max_age: Seconds,
        present: Present,
    ) -> Result<Vec<SetCookie>, TooLarge> {
        let parts = self.split(text).ok_or(TooLarge)?;
        let count = digit(parts.len());
        let mut cookies = Vec::with_capacity(MAIN.len());
        for (index, (name, is_present)) in self.names.iter().zip(present.0).enumerate() {
            match parts.get(index) {
                Some(part) if index == 0 => {
                    let value = format!("{count}.{part}");
                    cookies.push(SetCookie::new(name.clone(), value, max_age));
                }
                Some(part) => {
                    cookies.push(SetCookie::new(name.clone(), (*part).to_owned(), max_age));
                }
                None if is_present => cookies.push(SetCookie::removal(name.clone())),
                None => {}
            }
        }
        Ok(cookies)
    }

    /// The cookies of a sealed grant that is known to fit.
    #[must_use]
    pub fn set(&self, sealed: &str, max_age: Seconds, present: Present) -> Vec<SetCookie> {
        self.cut(sealed, max_age, present).unwrap_or_default()
    }

    /// Cuts the text into parts that fit their cookies; `None` if it needs more than there are.
    pub(super) fn split<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let mut parts = Vec::with_capacity(MAIN.len());
        let mut rest = text;
        for (index, name) in self.names.iter().enumerate() {
            // The count and its dot.
            let prefix = if index == 0 { 2 } else { 0 };
            let room = SetCookie::room(name.len()).saturating_sub(prefix);
            let (part, after) = rest.split_at_checked(room.min(rest.len()))?;
            parts.push(part);
            rest = after;
            if rest.is_empty() {
                return Some(parts);
            }
        }
        None
    }

    /// The names of the main sign-in's cookies.
    pub(super) const fn main_names() -> [&'static str; MAIN.len()] {
        MAIN
    }
}

impl fmt::Debug for GrantCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantCookies({})", self.first())
    }
}

/// The parts of a grant as a request brought them. Nothing is copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    parts: [&'a str; MAIN.len()],
}

impl Parts<'_> {
    /// Whether the parts make up `text`.
    pub(super) fn are(&self, text: &str) -> bool {
        let rest = self
            .parts
            .iter()
            .try_fold(text, |rest, part| rest.strip_prefix(part));
        rest == Some("")
    }

    pub(super) fn join(&self) -> String {
        self.parts.concat()
    }
}

fn digit(count: usize) -> &'static str {
    ["0", "1", "2", "3", "4", "5"]
        .get(count)
        .copied()
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_no_more_parts_than_there_are_names() {
        for (cookies, name_bytes) in [
            (GrantCookies::main(), 20),
            (GrantCookies::of("sixteen-letters-", "id"), 37),
        ] {
            let first = SetCookie::room(name_bytes) - 2;
            let most = first + 4 * SetCookie::room(name_bytes + 2);
            for (length, parts) in [
                (1, Some(1)),
                (first, Some(1)),
                (first + 1, Some(2)),
                (most, Some(5)),
                (most + 1, None),
            ] {
                let text = "x".repeat(length);
                let cut = cookies.split(&text);
                assert_eq!(cut.as_ref().map(Vec::len), parts, "{length}");
                if let Some(cut) = cut {
                    assert_eq!(cut.concat(), text);
                }
            }
        }
    }

    /// Whatever consumers are called, the names of their cookies differ from each other's and from
    /// the main ones.
    #[test]
    fn no_two_consumers_share_a_cookie() {
        let mut names: Vec<String> = GrantCookies::main_names().map(str::to_owned).to_vec();
        for name in ["1", "-", "a", "a-", "a-1", "ci"] {
            let cookies = GrantCookies::of(name, "id");
            names.extend(cookies.names.iter().map(|name| name.clone().into_owned()));
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
