//! Sessions that were opened before: a warm request compares bytes and does no cryptography.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use crate::session::SignedIn;
use crate::session::carried::Brought;

/// The most entries of one worker.
const MAX_ENTRIES: NonZeroUsize = NonZeroUsize::new(2_048).unwrap();

/// The most bytes of cookies in all entries of one worker; what they opened to is no larger.
const MAX_BYTES: usize = 8 * 1_024 * 1_024;

/// The end of a session token: most of its authentication tag. It finds an entry; what decides is
/// that all bytes are equal.
const TAIL_BYTES: usize = 20;

struct Entry {
    token: String,
    /// What the cookies of the grant hold, one behind the other.
    grant: String,
    signed_in: Rc<SignedIn>,
    weight: usize,
}

/// A bounded map from the exact cookies to what they opened to; the least recently used goes
/// first. Nothing in it is trusted beyond the session's own limits, which are checked again on
/// every request.
pub(super) struct VerifiedSessions {
    entries: LruCache<Box<[u8]>, Entry>,
    bytes: usize,
}

impl VerifiedSessions {
    pub(super) fn new() -> Self {
        Self {
            entries: LruCache::new(MAX_ENTRIES),
            bytes: 0,
        }
    }

    /// What the session `token` opened to with this grant of `consumer`, `None` for the main one.
    pub(super) fn find(
        &mut self,
        consumer: Option<&str>,
        token: &[u8],
        grant: &Brought<'_>,
    ) -> Option<Rc<SignedIn>> {
        let entry = self.entries.get(&*key(consumer, token)?)?;
        // Plain comparison: both sides came from a client, and what an equal entry gives is what
        // opening the same bytes would give.
        let same = entry.token.as_bytes() == token && grant.are(&entry.grant);
        same.then(|| Rc::clone(&entry.signed_in))
    }

    /// `sealed` is the weight of the sealed grant.
    pub(super) fn keep(
        &mut self,
        consumer: Option<&str>,
        token: &str,
        (grant, sealed): (String, usize),
        signed_in: Rc<SignedIn>,
    ) {
        let Some(key) = key(consumer, token.as_bytes()) else {
            return;
        };
        let entry = Entry {
            token: token.to_owned(),
            weight: token.len().saturating_add(sealed.max(grant.len())),
            grant,
            signed_in,
        };
        self.bytes = self.bytes.saturating_add(entry.weight);
        // What is pushed out is the old entry of the same key, or the least recently used one.
        if let Some((_, old)) = self.entries.push(key.into(), entry) {
            self.bytes = self.bytes.saturating_sub(old.weight);
        }
        while self.bytes > MAX_BYTES {
            let Some((_, old)) = self.entries.pop_lru() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(old.weight);
        }
    }
}

/// The end of the token, with the consumer's name before it: each grant of a session has an entry.
fn key<'t>(consumer: Option<&str>, token: &'t [u8]) -> Option<Cow<'t, [u8]>> {
    let tail = token.get(token.len().checked_sub(TAIL_BYTES)?..)?;
    Some(match consumer {
        None => tail.into(),
        Some(consumer) => [consumer.as_bytes(), b" ", tail].concat().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Cookies, Headers};
    use crate::session::GrantCookies;

    fn cookies(token: &str, grant: &str) -> Headers {
        let line = format!("__Host-bitgate={token}; __Host-bitgate-grant=1.{grant}");
        Headers::new(vec![("cookie".to_owned(), line.into_bytes())])
    }

    fn found(cache: &mut VerifiedSessions, token: &str, grant: &str) -> bool {
        let headers = cookies(token, grant);
        let parts = GrantCookies::main("s")
            .brought(&Cookies::read(&headers))
            .unwrap();
        cache.find(None, token.as_bytes(), &parts).is_some()
    }

    #[test]
    fn only_exactly_equal_cookies_are_found() {
        let mut cache = VerifiedSessions::new();
        let token = format!("head.{}", "t".repeat(TAIL_BYTES));
        cache.keep(
            None,
            &token,
            ("1.grant".to_owned(), 0),
            SignedIn::for_tests(),
        );
        assert!(found(&mut cache, &token, "grant"));
        assert!(!found(&mut cache, &token, "gran"));
        assert!(!found(&mut cache, &token, "grants"));
        assert!(!found(
            &mut cache,
            &format!("haed.{}", "t".repeat(TAIL_BYTES)),
            "grant"
        ));
        assert!(!found(&mut cache, "short", "grant"));
    }

    #[test]
    fn each_consumers_grant_has_an_entry_of_its_own() {
        let mut cache = VerifiedSessions::new();
        let token = "t".repeat(TAIL_BYTES);
        cache.keep(
            None,
            &token,
            ("1.main".to_owned(), 0),
            SignedIn::for_tests(),
        );
        let named = Some("ci");
        cache.keep(
            named,
            &token,
            ("1.named".to_owned(), 0),
            SignedIn::for_tests(),
        );
        let mut found = |consumer: Option<&str>, grant: &str| {
            let headers = cookies(&token, grant);
            let parts = GrantCookies::main("s")
                .brought(&Cookies::read(&headers))
                .unwrap();
            cache.find(consumer, token.as_bytes(), &parts).is_some()
        };
        assert!(found(None, "main") && found(named, "named"));
        assert!(!found(None, "named") && !found(named, "main") && !found(Some("cd"), "named"));
    }

    #[test]
    fn entries_and_bytes_stay_bounded_far_beyond_the_bound() {
        let mut cache = VerifiedSessions::new();
        for index in 0..MAX_ENTRIES.get() * 4 {
            cache.keep(
                None,
                &format!("{index:040}"),
                ("1.g".to_owned(), 0),
                SignedIn::for_tests(),
            );
        }
        assert_eq!(cache.entries.len(), MAX_ENTRIES.get());
        for index in 0..4_000 {
            cache.keep(
                None,
                &format!("big{index:040}"),
                (format!("1.{}", "g".repeat(16_000)), 0),
                SignedIn::for_tests(),
            );
            assert!(cache.bytes <= MAX_BYTES);
        }
        let counted: usize = cache.entries.iter().map(|(_, entry)| entry.weight).sum();
        assert_eq!(counted, cache.bytes);
        // The newest is there, and the same key twice counts once.
        assert!(found(
            &mut cache,
            &format!("big{:040}", 3_999),
            &"g".repeat(16_000)
        ));
        let before = cache.bytes;
        cache.keep(
            None,
            &format!("big{:040}", 3_999),
            (format!("1.{}", "g".repeat(16_000)), 0),
            SignedIn::for_tests(),
        );
        assert_eq!(cache.bytes, before);
    }
}
