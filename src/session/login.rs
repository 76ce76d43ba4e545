//! Logins on their way: what this browser needs to finish one.

use std::mem;

use zeroize::Zeroize;

use crate::host::{NoRandomness, Random};
use crate::http::{Cookies, SetCookie};
use crate::oauth::{CodeVerifier, State};
use crate::session::key_ring::{KeyRing, Purpose};
use crate::session::message::{read, some, write};
use crate::session::sealed_box::Place;
use crate::time::{Seconds, UnixTime};

const PREFIX: &str = "__Host-bitgate-login.";

/// How many cookies with our prefix are looked at. A browser of ours never has more; a stranger
/// who sends thousands gets no answer of thousands of lines.
const MAX_JUDGED: usize = 16;

/// A login that is begun and not completed. It lies sealed in a cookie of its own, named by the
/// first characters of the state, so that several tabs can sign in at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingLogin {
    /// What the authorization response must bring back.
    pub state: State,
    /// What the token request must present.
    pub code_verifier: CodeVerifier,
    /// Path and query on the own origin to go on to.
    pub return_to: String,
    /// When it was begun.
    pub begun_at: UnixTime,
    /// The further consumer that it is for; `None` for the main sign-in.
    pub second: Option<SecondSignIn>,
}

/// What a sign-in for a further consumer adds a grant to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondSignIn {
    /// The consumer's name.
    pub consumer: String,
    /// The session that was live when it was begun.
    pub session_id: String,
}

/// The sealed form.
#[derive(prost::Message)]
#[prost(skip_debug)]
struct Document {
    #[prost(string, tag = "1")]
    state: String,
    #[prost(string, tag = "2")]
    code_verifier: String,
    #[prost(string, tag = "3")]
    return_to: String,
    #[prost(uint64, tag = "4")]
    begun_at: u64,
    #[prost(string, optional, tag = "5")]
    consumer: Option<String>,
    #[prost(string, optional, tag = "6")]
    session_id: Option<String>,
}

impl Drop for Document {
    fn drop(&mut self) {
        self.state.zeroize();
        self.code_verifier.zeroize();
    }
}

impl PendingLogin {
    /// How long a person has for signing in and for the provider's questions.
    pub const MAX_AGE: Seconds = Seconds(600);

    /// The longest `return_to`, in bytes. What a browser takes along is small; a longer address is
    /// worth less than the room it needs.
    pub const MAX_RETURN_BYTES: usize = 2_048;

    /// Whether it is too late to complete it.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        now >= self.begun_at.plus(Self::MAX_AGE)
    }

    fn open(ring: &KeyRing, cookie: &str, text: &str) -> Option<Self> {
        let plain = ring.open_box(place(cookie), text)?;
        let mut document: Document = read(&plain)?;
        Some(Self {
            state: State::new(some(mem::take(&mut document.state))?),
            code_verifier: CodeVerifier::new(some(mem::take(&mut document.code_verifier))?),
            return_to: some(mem::take(&mut document.return_to))?,
            begun_at: UnixTime(document.begun_at),
            second: match (document.consumer.take(), document.session_id.take()) {
                (None, None) => None,
                (consumer, session_id) => Some(SecondSignIn {
                    consumer: some(consumer?)?,
                    session_id: some(session_id?)?,
                }),
            },
        })
    }

    fn seal(
        &self,
        ring: &KeyRing,
        cookie: &str,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<String, NoRandomness> {
        let second = self.second.as_ref();
        let document = Document {
            state: self.state.expose().to_owned(),
            code_verifier: self.code_verifier.expose().to_owned(),
            return_to: self.return_to.clone(),
            begun_at: self.begun_at.0,
            consumer: second.map(|second| second.consumer.clone()),
            session_id: second.map(|second| second.session_id.clone()),
        };
        ring.seal_box(place(cookie), &write(&document), now, random)
    }
}

fn place(cookie: &str) -> Place<'_> {
    Place {
        purpose: Purpose::Login,
        cookie,
        session_id: "",
    }
}

/// The pending logins of one browser.
#[derive(Debug)]
pub struct PendingLogins<'r> {
    ring: &'r KeyRing,
    now: UnixTime,
}

impl<'r> PendingLogins<'r> {
    /// The most logins of one browser that can be pending.
    pub const MAX: usize = 4;

    /// The most bytes of their cookies together, names and values.
    pub const MAX_BYTES: usize = 4_000;

    /// The logins that `ring` sealed, as of `now`.
    #[must_use]
    pub fn new(ring: &'r KeyRing, now: UnixTime) -> Self {
        Self { ring, now }
    }

    /// Finds the login that `state` belongs to.
    #[must_use]
    pub fn find(&self, cookies: &Cookies<'_>, state: &State) -> Option<PendingLogin> {
        let cookie = cookie_name(state)?;
        let pending = PendingLogin::open(self.ring, &cookie, cookies.single(&cookie)?)?;
        // Compared in constant time; the name already has its first characters.
        (pending.state == *state).then_some(pending)
    }

    /// The cookie for one more login, and the removal of those that are over, unreadable, or the
    /// oldest of too many.
    ///
    /// # Errors
    /// [`NoRandomness`] of the host.
    pub fn add(
        &self,
        cookies: &Cookies<'_>,
        login: &PendingLogin,
        random: &mut dyn Random,
    ) -> Result<Vec<SetCookie>, NoRandomness> {
        let name = cookie_name(&login.state).ok_or(NoRandomness)?;
        let value = login.seal(self.ring, &name, self.now, random)?;
        let mut bytes = name.len().saturating_add(value.len());
        let mut kept = 1_usize;
        let mut set = vec![SetCookie::new(name, value, PendingLogin::MAX_AGE)];
        // The newest first. By insertion: a handful, and a sort of their own is 3 KB of the module.
        let mut others = Vec::new();
        for name in cookies
            .names_with_prefix(PREFIX)
            .into_iter()
            .take(MAX_JUDGED)
        {
            let value = cookies.single(name).unwrap_or_default();
            let opened = PendingLogin::open(self.ring, name, value);
            let live = opened.filter(|pending| !pending.is_over(self.now));
            let other = (live.map(|pending| pending.begun_at), name, value.len());
            let at = others.partition_point(|before| *before > other);
            others.insert(at, other);
        }
        for (begun_at, name, value_bytes) in others {
            let weight = name.len().saturating_add(value_bytes);
            let fits = kept < Self::MAX && bytes.saturating_add(weight) <= Self::MAX_BYTES;
            if begun_at.is_some() && fits {
                kept = kept.saturating_add(1);
                bytes = bytes.saturating_add(weight);
            } else {
                set.push(SetCookie::removal(name.to_owned()));
            }
        }
        Ok(set)
    }

    /// Takes the login of `state` away: it was completed or refused, and a state works once.
    #[must_use]
    pub fn remove(&self, cookies: &Cookies<'_>, state: &State) -> Option<SetCookie> {
        let name = cookie_name(state)?;
        cookies.contains(&name).then(|| SetCookie::removal(name))
    }
}

/// `None` if the state cannot be one of ours.
fn cookie_name(state: &State) -> Option<String> {
    state.id().map(|id| format!("{PREFIX}{id}"))
}
