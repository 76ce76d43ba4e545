//! Completed sign-ins of the last minutes, to notice a browser that comes back without a session.
//!
//! A browser, or something on its way, can drop the session cookie and keep the others. It would be
//! sent to sign in for ever, several times a second, at the cost of the provider's limits.

use std::borrow::Cow;

use crate::host::{NoRandomness, Random};
use crate::http::{Cookies, SetCookie};
use crate::session::key_ring::{KeyRing, Purpose};
use crate::session::sealed_box::Place;
use crate::time::{Seconds, UnixTime};

const NAME: &str = "__Host-bitgate-returns";

/// How long a sign-in counts.
const SPAN: Seconds = Seconds(60);

/// So many that came back without a session are a loop.
const MAX: u8 = 3;

/// How often this browser completed a sign-in, each within a minute of the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returns {
    cookie: Cow<'static, str>,
    count: u8,
}

impl Returns {
    /// What the cookies say of `consumer`, `None` for the main sign-in; nothing if they say nothing
    /// that can be read. Each counts for itself: a page can need the grants of all of them. The
    /// browser's clock ends the minute: clocks of two instances that differ are a cause of such
    /// loops.
    #[must_use]
    pub fn read(ring: &KeyRing, cookies: &Cookies<'_>, consumer: Option<&str>) -> Self {
        let cookie: Cow<'static, str> = match consumer {
            None => NAME.into(),
            Some(consumer) => format!("{NAME}-{consumer}").into(),
        };
        let plain = cookies
            .single(&cookie)
            .and_then(|text| ring.open_box(place(&cookie), text));
        let text = plain
            .as_deref()
            .and_then(|plain| std::str::from_utf8(plain).ok());
        let count = text.and_then(|text| text.parse().ok()).unwrap_or(0);
        Self { cookie, count }
    }

    /// Whether one more request without a session means that no sign-in will ever help.
    #[must_use]
    pub fn are_a_loop(&self) -> bool {
        self.count >= MAX
    }

    /// The cookie that also counts a sign-in at `now`.
    ///
    /// # Errors
    /// [`NoRandomness`] of the host.
    pub fn count(
        self,
        ring: &KeyRing,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<SetCookie, NoRandomness> {
        let count = self.count.saturating_add(1).min(MAX).to_string();
        let text = ring.seal_box(place(&self.cookie), count.as_bytes(), now, random)?;
        Ok(SetCookie::new(self.cookie, text, SPAN))
    }

    /// Starts the count again: a person is in the loop now.
    #[must_use]
    pub fn removal(self) -> SetCookie {
        SetCookie::removal(self.cookie)
    }
}

fn place(cookie: &str) -> Place<'_> {
    Place {
        purpose: Purpose::Returns,
        cookie,
        session_id: "",
    }
}
