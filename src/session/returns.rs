//! Completed sign-ins of the last minute, to notice a browser that comes back without a session.
//!
//! A browser, or something on its way, can drop the session cookie and keep the others. It would be
//! sent to sign in for ever, several times a second, at the cost of the provider's limits.

use serde::{Deserialize, Serialize};

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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    #[serde(rename = "t")]
    times: Vec<u64>,
}

impl Returns {
    /// What the cookies say; nothing if they say nothing that can be read.
    #[must_use]
    pub fn read(ring: &KeyRing, cookies: &Cookies<'_>, now: UnixTime) -> Self {
        let plain = cookies
            .single(NAME)
            .and_then(|text| ring.open_box(PLACE, text));
        let sealed = plain.and_then(|plain| serde_json::from_slice::<Sealed>(&plain).ok());
        let times = sealed.map(|sealed| sealed.times).unwrap_or_default();
        let mut times: Vec<UnixTime> = times.into_iter().map(UnixTime).collect();
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
        let times = newest.chain([&now]).map(|time| time.0).collect();
        // A list of numbers always serializes.
        let plain = serde_json::to_vec(&Sealed { times }).map_err(|_| NoRandomness)?;
        let text = ring.seal_box(PLACE, &plain, random)?;
        Ok(SetCookie::new(NAME, text, SPAN))
    }

    /// Starts the count again: a person is in the loop now.
    #[must_use]
    pub fn removal() -> SetCookie {
        SetCookie::removal(NAME)
    }
}
