//! What a service answered to the credential of a bot: for a token that nobody fetches, the only sign
//! that it is good, or gone.

use std::rc::Rc;

use crate::gate::{Event, EventKind, Gate};
use crate::host::Host;
use crate::time::Seconds;

/// How often it is told that it is refused.
const PAUSE: Seconds = Seconds(60);

impl Gate {
    /// The event for an answer of status 401. A token that can be fetched is, soon.
    pub fn bot_answered(
        self: &Rc<Self>,
        place: usize,
        status: u16,
        host: &mut Host<'_>,
    ) -> Option<Event> {
        match status {
            200..=399 => {
                self.kinds.bot_succeeded(place, host.now, host.shared);
                None
            }
            401 => self.bot_refused(place, host),
            _ => None,
        }
    }

    fn bot_refused(self: &Rc<Self>, place: usize, host: &mut Host<'_>) -> Option<Event> {
        let bot = self.bots.get(place)?;
        if let Some(grant) = bot.fetched().and_then(|fetched| fetched.at_hand(host.now)) {
            self.bot_token_rejected(place, &grant.access_token, host);
        }
        let told_at = bot.refused_at.replace(host.now);
        let is_quiet = host.now >= told_at && host.now < told_at.plus(PAUSE);
        if is_quiet {
            bot.refused_at.set(told_at);
        }
        Some(Event {
            bot: self.bot_name(place),
            detail: Some("expected a credential that is accepted, but found status 401".to_owned()),
            is_quiet,
            ..Event::new(EventKind::BotRefused)
        })
    }

    pub(super) fn bot_name(&self, place: usize) -> Option<String> {
        let bot = self.config.access.bots.get(place)?;
        Some(bot.name.clone())
    }
}
