//! What the browser carries: a session, the grant that belongs to it, and logins on their way.
//!
//! There is no store. A session is two sealed values in cookies, and every instance that has the
//! keys can read them.

mod bot_tokens;
mod cache;
mod carried;
mod circuit;
mod claims;
mod grant;
mod grant_cookies;
mod identity_token;
mod kept_grants;
mod key_ring;
mod login;
mod message;
mod renewal;
mod returns;
mod revocation;
mod sealed_box;
mod signed_in;
mod store;
mod travel;

pub use bot_tokens::{BotDue, BotFailure, BotLease, BotTokens, SeenBot};
pub use circuit::Circuit;
pub use grant::Grant;
pub(crate) use grant::USUAL_LIFETIME;
pub use grant_cookies::{GrantCookies, Present, Sealed};
pub use identity_token::{IdentityTokens, Subject, key_set};
pub use key_ring::{KeyRing, SessionKey};
pub use login::{PendingLogin, PendingLogins, SecondSignIn};
pub use renewal::{Failure, Lease, Renewals, Spot, Standing};
pub use returns::Returns;
pub use revocation::{Revocations, SignedOut};
pub use signed_in::SignedIn;
pub use store::{Absence, Issued, Lifetimes, NotIssued, SessionStore};

use crate::host::{NoRandomness, Random};
use crate::identity::Identity;
use crate::oauth::random_text;
use crate::time::UnixTime;

/// Every cookie of ours for all paths begins with this.
pub const COOKIE_PREFIX: &str = "__Host-bitgate";

/// And this one for those that only our endpoints see.
const APART_PREFIX: &str = "__Secure-bitgate";

/// Where our endpoints are.
pub const ENDPOINTS: &str = "/_bitgate/";

/// Whether a cookie is ours, by its name or what begins with it, in any case it is written in: some servers
/// fold the case of prefixes. None goes upstream, and none comes from there.
#[must_use]
pub fn is_our_cookie(name: &[u8]) -> bool {
    [COOKIE_PREFIX, APART_PREFIX].iter().any(|prefix| {
        let prefix = prefix.as_bytes();
        // Most are as we wrote them, or somebody else's.
        name.starts_with(prefix)
            || name
                .get(..prefix.len())
                .is_some_and(|head| head.starts_with(b"__") && head.eq_ignore_ascii_case(prefix))
    })
}

/// The cookie of the session token.
pub const SESSION_COOKIE: &str = "__Host-bitgate";

/// Clocks of two instances may differ by this many seconds.
const CLOCK_SKEW_SECONDS: u64 = 60;

/// What the session cookie says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// 128 random bits in base64url: names the session in logs, and binds the grant to it.
    pub id: String,
    /// Who signed in.
    pub identity: Identity,
    /// When they did.
    pub issued_at: UnixTime,
    /// The end that no use can move.
    pub expires_at: UnixTime,
    /// When the session was last seen in use, within a tenth of the idle timeout.
    pub seen_at: UnixTime,
}

impl Session {
    /// A fresh session id.
    ///
    /// # Errors
    /// [`NoRandomness`] of the host.
    pub fn generate_id(random: &mut dyn Random) -> Result<String, NoRandomness> {
        random_text::<16>(random)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use zeroize::Zeroizing;

    use super::*;
    use crate::host::{Host, NativeSignatures};
    use crate::http::{Cookies, Headers};
    use crate::oauth::State;
    use crate::session::key_ring::Purpose;
    use crate::session::sealed_box::Place;
    use crate::slots::Memory;
    use crate::time::Seconds;

    #[derive(Debug)]
    struct Counter(u8);

    impl Random for Counter {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
            bytes.fill_with(|| {
                self.0 = self.0.wrapping_add(1);
                self.0
            });
            Ok(())
        }
    }

    fn ring() -> KeyRing {
        let key = SessionKey::new("k", Zeroizing::new([7; 32])).unwrap();
        KeyRing::new("https://a.test", &[key]).unwrap()
    }

    /// Whoever has the key can seal anything: what is inside is still read as strictly.
    #[test]
    fn hostile_text_under_a_good_seal_never_opens() {
        let logins: [&[u8]; 5] = [
            b"\x0a\x18AAAAAAAAAAAAAAAAAAAAAAAA\x12\x01v\x20\x01",
            b"\x0a\x18AAAAAAAAAAAAAAAAAAAAAAAA\x1a\x01/\x20\x01",
            b"\x0a\x18AAAAAAAAAAAAAAAAAAAAAAAA\x12\x01v\x1a\x01/\x20\x01\x2a\x02ci",
            b"\x0a\x18AAAAAAAAAAAAAAAAAAAAAAAA\x12\x01v\x1a\x01/\x20\x01\x2a\x02ci\x32\x00",
            b"\x0a\x18AAAAAAAAAAAAAAAAAAAAAAAA\x12\x01v\x1a\x01/\x20\x01\x3a\x01x",
        ];
        let grants: [&[u8]; 9] = [
            b"",
            b"{\"a\":\"t\",\"e\":1}",
            b"\xff\xfe",
            b"\x0a\x00\x18\x01",
            b"\x18\x01",
            b"\x08\x01\x18\x01",
            b"\x0a\x02t\xff\x18\x01",
            b"\x0a\x01t\x18\x01\x18\x01",
            b"\x0a\x01t\x18\x01\x3a\x01x",
        ];
        let ring = ring();
        let state = State::new("AAAAAAAAAAAAAAAAAAAAAAAA");
        let seal = |purpose, cookie: &str, text: &[u8]| {
            let place = Place {
                purpose,
                cookie,
                session_id: "",
            };
            ring.seal_box(place, text, UnixTime(0), &mut Counter(0))
                .unwrap()
        };
        let find = |text: &[u8]| {
            let login = "__Host-bitgate-login.AAAAAAAA";
            let line = format!("{login}={}", seal(Purpose::Login, login, text));
            let headers = Headers::new(vec![("cookie".to_owned(), line.into_bytes())]);
            PendingLogins::new(&ring, UnixTime(1)).find(&Cookies::read(&headers), &state)
        };
        let is_a_loop = |text: &[u8]| {
            let returns = "__Host-bitgate-returns";
            let line = format!("{returns}={}", seal(Purpose::Returns, returns, text));
            let headers = Headers::new(vec![("cookie".to_owned(), line.into_bytes())]);
            Returns::read(&ring, &Cookies::read(&headers), None).are_a_loop()
        };
        let names = GrantCookies::main("https://a.test");
        let open = |text: &[u8]| {
            let sealed = seal(Purpose::Grant, "__Host-bitgate-grant", text);
            Grant::open(&ring, names.place(""), &sealed)
        };
        // These do, so the others do not for their faults alone.
        assert!(find(b"\x0a\x18AAAAAAAAAAAAAAAAAAAAAAAA\x12\x01v\x1a\x01/\x20\x01").is_some());
        assert!(open(b"\x0a\x01t\x18\x01").is_some());
        for text in logins.into_iter().chain(grants) {
            assert_eq!(find(text), None, "{text:?}");
            assert!(!is_a_loop(text), "{text:?}");
        }
        for text in grants {
            assert_eq!(open(text), None, "{text:?}");
        }
    }

    /// What a second request brings unchanged is not opened again.
    #[test]
    fn a_warm_request_opens_neither_grant() {
        let identity = Identity {
            account_id: "a".to_owned(),
            email: None,
            nickname: None,
        };
        let grant = |token: &str| Grant {
            access_token: crate::oauth::AccessToken::new(token),
            refresh_token: None,
            expires_at: UnixTime(60),
            lifetime: Seconds(60),
            scopes: None,
        };
        let lifetimes = Lifetimes {
            max_age: Seconds(60),
            idle_timeout: Seconds(60),
        };
        let store = SessionStore::new(ring(), "id", lifetimes);
        let (now, none) = (UnixTime(0), Headers::default());
        let none = Cookies::read(&none);
        let mut memory = Memory::default();
        let mut host = Host {
            now,
            random: &mut Counter(0),
            shared: &mut memory,
            signatures: &NativeSignatures,
        };
        let issued = store.issue(identity, &grant("main"), &none, &mut host);
        let Issued {
            session_id,
            mut cookies,
        } = issued.unwrap();
        let ci = GrantCookies::of("https://a.test", "ci", "ci-id");
        let sealed = store.seal_grant(&ci, &session_id, &grant("ci"), now, host.random);
        let sealed = Sealed {
            session_id: &session_id,
            session_ends_at: UnixTime(60),
            ends_at: UnixTime(60),
            text: &sealed.unwrap(),
        };
        cookies.extend(ci.set(sealed, ci.present(&none), now, host.shared));
        let pair = |cookie: &crate::http::SetCookie| {
            let line = cookie.header_value().unwrap().as_str().to_owned();
            line.split("; ").next().unwrap().to_owned()
        };
        let line = cookies.iter().map(pair).collect::<Vec<_>>().join("; ");
        let headers = Headers::new(vec![("cookie".to_owned(), line.into_bytes())]);
        let cookies = Cookies::read(&headers);
        let open = || {
            let main = store.open(&cookies, now, &memory).unwrap();
            let named = store.open_named(&main, &ci, &cookies, &memory).unwrap();
            (main, named)
        };
        let (cold, warm) = (open(), open());
        assert_eq!(cold.0.grant, grant("main"));
        assert_eq!(cold.1.grant, grant("ci"));
        assert_eq!(cold.1.session, cold.0.session);
        assert!(Rc::ptr_eq(&cold.0, &warm.0) && Rc::ptr_eq(&cold.1, &warm.1));
    }
}
