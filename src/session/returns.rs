//! Completed sign-ins of the last minute, to notice a browser that comes back without a session.
//!
//! A browser, or something on its way, can drop the session cookie and keep the others. It would be
//! sent to sign in for ever, several times a second, at the cost of the provider's limits.

use crate::host::{NoRandomness, Random};
use crate::http::{Cookies, SetCookie};
use crate::session::key_ring::{KeyRing, Purpose};
use crate::session::sealed_box::Place;
use crate::time::{Seconds, UnixTime};

const NAME: &str = "__Host-bitgate-returns";

const PLACE: Place<'static> = Place {
    purpose: Purpose::Returns,
    cookie: NAME,
    session_id: "",
};

/// The span in which sign-ins are counted.
const SPAN: Seconds = Seconds(60);

/// So many that came back without a session are a loop.
const MAX: usize = 3;

/// When this browser completed a sign-in, in the last minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returns {
    times: Vec<UnixTime>,
}

impl Returns {
    /// What the cookies say; nothing if they say nothing that can be read.
    #[must_use]
    pub fn read(ring: &KeyRing, cookies: &Cookies<'_>, now: UnixTime) -> Self {
        let plain = cookies
            .single(NAME)
            .and_then(|text| ring.open_box(PLACE, text));
        let text = plain
            .as_deref()
            .and_then(|plain| std::str::from_utf8(plain).ok());
        let times: Option<Vec<u64>> = text
            .unwrap_or_default()
            .split(' ')
            .map(|time| time.parse().ok())
            .collect();
        let mut times: Vec<UnixTime> = times.into_iter().flatten().map(UnixTime).collect();
        times.retain(|time| now.since(*time) < SPAN);
        Self { times }
    }

    /// Whether one more request without a session means that no sign-in will ever help.
    #[must_use]
    pub fn are_a_loop(&self) -> bool {
        self.times.len() >= MAX
    }

    /// The cookie that also counts a sign-in at `now`.
    ///
    /// # Errors
    /// [`NoRandomness`] of the host.
    pub fn count(
        &self,
        ring: &KeyRing,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<SetCookie, NoRandomness> {
        let newest = self.times.iter().rev().take(MAX.saturating_sub(1)).rev();
        let times: Vec<String> = newest
            .chain([&now])
            .map(|time| time.0.to_string())
            .collect();
        let text = ring.seal_box(PLACE, times.join(" ").as_bytes(), now, random)?;
        Ok(SetCookie::new(NAME, text, SPAN))
    }

    /// Starts the count again: a person is in the loop now.
    #[must_use]
    pub fn removal() -> SetCookie {
        SetCookie::removal(NAME)
    }
}
