//! The cookies of a grant: up to five that only belong together.
//!
//! ```text
//! __Host-bitgate-grant       = count "." first part of the box
//! __Host-bitgate-grant.1     = second part …
//! __Host-bitgate-grant-ci    = the same of the consumer "ci"
//! ```
//! One box is sealed and then cut, so parts of two grants never open.
//!
//! A large box does not travel with every request. It lies in data that the workers share, and apart, in
//! cookies that only our endpoints see, for an instance that does not know it:
//!
//! ```text
//! __Host-bitgate-grant       = "0." end of the access token "." end of the box
//! __Secure-bitgate-grant     = count "." first part of the box, below /_bitgate/
//! __Secure-bitgate-grant.1   = second part …
//! ```
//! What an instance is brought from there travels once more as above, but with "~" for the ".", so that the
//! next instance that is asked learns it too.

use std::fmt;

use crate::host::SharedData;
use crate::http::{Cookies, SetCookie};
use crate::session::ENDPOINTS;
use crate::session::carried::{Brought, Carried, Parts, tag};
use crate::session::kept_grants::{Kept, KeptGrants};
use crate::session::key_ring::Purpose;
use crate::session::sealed_box::Place;
use crate::time::{Seconds, UnixTime};

/// The most cookies of one grant.
pub(super) const MOST: usize = 5;

/// The first cookie of the main sign-in's grant; those of all further consumers begin with it and "-".
const MAIN: &str = "__Host-bitgate-grant";

/// The same, apart.
const MAIN_APART: &str = "__Secure-bitgate-grant";

/// The cookies of all further consumers begin with this.
pub(super) const NAMED_PREFIX: &str = "__Host-bitgate-grant-";

/// And these.
pub(super) const NAMED_APART_PREFIX: &str = "__Secure-bitgate-grant-";

/// The most bytes of a box that travel with every request. Envoy pays for each of them before it asks
/// anybody, and two tokens of 2,600 characters have 7,300; short ones are not worth a redirect.
const MOST_CARRIED: usize = 1_024;

/// Where the grant of one consumer lies.
pub struct GrantCookies {
    names: Names,
    apart: Names,
    kept: KeptGrants,
    /// What its boxes are bound to.
    place: String,
    consumer: Option<String>,
}

/// Names of cookies, by the first one.
struct Names(String);

impl Names {
    /// The name of one part.
    fn of(&self, part: usize) -> String {
        match part {
            0 => self.0.clone(),
            _ => format!("{}.{part}", self.0),
        }
    }

    /// Which of them a request brought, a bit for each.
    fn present(&self, cookies: &Cookies<'_>) -> u8 {
        // Most often it is none but the first one.
        if !cookies.contains_prefix(&self.0) {
            return 0;
        }
        let is_present = |part: &usize| cookies.contains(&self.of(*part));
        (0..MOST)
            .filter(is_present)
            .fold(0, |bits, part| bits | bit(part))
    }

    /// Takes away those beyond the first `count` that are present.
    fn removals(&self, present: u8, count: usize) -> impl Iterator<Item = SetCookie> {
        let parts = (count..MOST).filter(move |part| present & bit(*part) != 0);
        parts.map(|part| SetCookie::removal(self.of(part)))
    }
}

fn bit(part: usize) -> u8 {
    u32::try_from(part).map_or(0, |part| 1_u8.wrapping_shl(part))
}

/// Which of a grant's cookies a request brought.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    names: u8,
    apart: u8,
}

/// A sealed grant on its way to a browser.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// Of its session.
    pub session_id: &'a str,
    /// When that ends at the latest.
    pub session_ends_at: UnixTime,
    /// When the access token does.
    pub ends_at: UnixTime,
    /// The box.
    pub text: &'a str,
}

impl GrantCookies {
    /// Those of the main sign-in at `site`.
    #[must_use]
    pub fn main(site: &str) -> Self {
        Self::new(
            site,
            MAIN.to_owned(),
            MAIN_APART.to_owned(),
            MAIN.to_owned(),
        )
    }

    /// Those of a further consumer, whose `name` has small letters, digits and `-` only. They are
    /// bound to its `client_id` too: a name can get another consumer in a new configuration.
    #[must_use]
    pub fn of(site: &str, name: &str, client_id: &str) -> Self {
        let first = format!("{NAMED_PREFIX}{name}");
        // No cookie's name has a space.
        let place = format!("{first} {client_id}");
        Self {
            consumer: Some(name.to_owned()),
            ..Self::new(site, first, format!("{NAMED_APART_PREFIX}{name}"), place)
        }
    }

    fn new(site: &str, first: String, apart: String, place: String) -> Self {
        Self {
            names: Names(first),
            apart: Names(apart),
            kept: KeptGrants::new(site, &place),
            place,
            consumer: None,
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
        &self.names.0
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
        Present {
            names: self.names.present(cookies),
            apart: self.apart.present(cookies),
        }
    }

    /// What a request brought. `None` if the first cookie is missing, has no count, or another part is
    /// missing.
    pub(super) fn brought<'c>(&self, cookies: &Cookies<'c>) -> Option<Brought<'c>> {
        brought(&self.names, cookies)
    }

    /// The same, read.
    pub(super) fn read<'c>(&self, cookies: &Cookies<'c>) -> Option<Carried<'c>> {
        self.brought(cookies)?.read()
    }

    /// What lies apart, where a request brings that.
    pub(super) fn read_apart<'c>(&self, cookies: &Cookies<'c>) -> Option<Parts<'c>> {
        match brought(&self.apart, cookies)?.read()? {
            Carried::Whole(parts) => Some(parts),
            Carried::Kept(_) => None,
        }
    }

    /// The sealed grant of a session that this instance knows, and when it ends.
    #[must_use]
    pub fn known(&self, session_id: &str, shared: &dyn SharedData) -> Option<(String, UnixTime)> {
        let Kept { sealed, ends_at } = self.find(session_id, shared)?;
        Some((sealed, ends_at))
    }

    pub(super) fn find(&self, session_id: &str, shared: &dyn SharedData) -> Option<Kept> {
        self.kept.find(session_id, shared)
    }

    /// Forgets it.
    pub fn forget(&self, session_id: &str, shared: &mut dyn SharedData) {
        self.kept.forget(session_id, shared);
    }

    /// Keeps a box that is too large to travel with every request. `false` if it has to, or is not.
    pub fn keep(&self, sealed: Sealed<'_>, now: UnixTime, shared: &mut dyn SharedData) -> bool {
        let kept = Kept {
            ends_at: sealed.ends_at,
            sealed: sealed.text.to_owned(),
        };
        let (id, until) = (sealed.session_id, sealed.session_ends_at);
        is_large(sealed.text) && self.kept.keep(id, &kept, until, now, shared)
    }

    /// The cookies of a sealed grant, which is known to fit. Those of an earlier one that the request
    /// brought, and this one does not need, are taken away.
    #[must_use]
    pub fn set(
        &self,
        sealed: Sealed<'_>,
        present: Present,
        now: UnixTime,
        shared: &dyn SharedData,
    ) -> Vec<SetCookie> {
        let max_age = sealed.session_ends_at.since(now);
        match self.is_kept(sealed, shared) {
            true => {
                let mut cookies = self.refer(sealed, max_age, present);
                let apart = self.cut(&self.apart, sealed.text, ".", max_age);
                let count = apart.len();
                cookies.extend(apart.into_iter().map(|cookie| cookie.below(ENDPOINTS)));
                cookies.extend(self.removals_apart(present, count));
                cookies
            }
            false => {
                let mut cookies = self.carry(sealed.text, ".", max_age, present);
                cookies.extend(self.removals_apart(present, 0));
                cookies
            }
        }
    }

    /// The same for one that lies apart already.
    pub(super) fn set_reference(
        &self,
        sealed: Sealed<'_>,
        present: Present,
        now: UnixTime,
    ) -> Vec<SetCookie> {
        self.refer(sealed, sealed.session_ends_at.since(now), present)
    }

    /// The cookies that bring what lies apart to whichever instance is asked next.
    #[must_use]
    pub fn bring(&self, sealed: Sealed<'_>, present: Present, now: UnixTime) -> Vec<SetCookie> {
        let max_age = sealed.session_ends_at.since(now);
        self.carry(sealed.text, "~", max_age, present)
    }

    fn is_kept(&self, sealed: Sealed<'_>, shared: &dyn SharedData) -> bool {
        let is_it = |kept: Kept| kept.sealed == sealed.text;
        is_large(sealed.text) && self.find(sealed.session_id, shared).is_some_and(is_it)
    }

    fn refer(&self, sealed: Sealed<'_>, max_age: Seconds, present: Present) -> Vec<SetCookie> {
        let text = format!("0.{}.{}", sealed.ends_at.0, tag(sealed.text));
        let mut cookies = vec![SetCookie::new(self.names.of(0), text, max_age)];
        cookies.extend(self.names.removals(present.names, 1));
        cookies
    }

    fn carry(&self, text: &str, mark: &str, max_age: Seconds, present: Present) -> Vec<SetCookie> {
        let mut cookies = self.cut(&self.names, text, mark, max_age);
        cookies.extend(self.names.removals(present.names, cookies.len()));
        cookies
    }

    fn removals_apart(&self, present: Present, count: usize) -> impl Iterator<Item = SetCookie> {
        let removals = self.apart.removals(present.apart, count);
        removals.map(|cookie| cookie.below(ENDPOINTS))
    }

    fn cut(&self, names: &Names, text: &str, mark: &str, max_age: Seconds) -> Vec<SetCookie> {
        let parts = self.split(text).unwrap_or_default();
        let count = digit(parts.len());
        let set = parts.iter().enumerate().map(|(index, part)| {
            let value = match index {
                0 => format!("{count}{mark}{part}"),
                _ => (*part).to_owned(),
            };
            SetCookie::new(names.of(index), value, max_age)
        });
        set.collect()
    }

    /// Cuts the text into parts that fit their cookies; `None` if it needs more than there are.
    pub(super) fn split<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let mut parts = Vec::with_capacity(MOST);
        let mut rest = text;
        // Those apart are the longer ones. All but the first have a number behind the name, which that has
        // before its part, with a mark.
        let room = SetCookie::room(self.apart.0.len().saturating_add(2));
        for _ in 0..MOST {
            let (part, after) = rest.split_at_checked(room.min(rest.len()))?;
            parts.push(part);
            rest = after;
            if rest.is_empty() {
                return Some(parts);
            }
        }
        None
    }
}

/// The names of the main sign-in's cookies: those that travel, and those that lie apart.
pub(super) fn main_names() -> [Vec<String>; 2] {
    [MAIN, MAIN_APART].map(|first| {
        let names = Names(first.to_owned());
        (0..MOST).map(|part| names.of(part)).collect()
    })
}

/// As many cookies as the first one says. A reference says that there is none but itself.
fn brought<'c>(names: &Names, cookies: &Cookies<'c>) -> Option<Brought<'c>> {
    let first = cookies.single_bytes(&names.0)?;
    let count = match first.first()? {
        b'0' | b'1' => 1,
        byte => (2..=MOST).find(|count| digit(*count).as_bytes() == [*byte])?,
    };
    let mut parts = [&b""[..]; MOST];
    for (index, part) in parts.iter_mut().enumerate().take(count) {
        *part = match index {
            0 => first,
            _ => cookies.single_bytes(&names.of(index))?,
        };
    }
    Some(Brought(parts))
}

/// Whether a box is too large to travel with every request.
pub(super) fn is_large(text: &str) -> bool {
    text.len() > MOST_CARRIED
}

impl fmt::Debug for GrantCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantCookies({})", self.first())
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
            (GrantCookies::main("a"), 22),
            (GrantCookies::of("a", "sixteen-letters-", "id"), 39),
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
        let mut names: Vec<String> = main_names().concat();
        for name in ["1", "-", "a", "a-", "a-1", "ci"] {
            let cookies = GrantCookies::of("a", name, "id");
            for part in 0..MOST {
                names.extend([cookies.names.of(part), cookies.apart.of(part)]);
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
