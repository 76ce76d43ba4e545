//! A service answered 401 to the credential of a bot: the only sign that a token is gone which nobody
//! fetches.

use std::rc::Rc;

use crate::gate::{Event, EventKind, Gate};
use crate::host::Host;
use crate::time::Seconds;

/// How often it is told.
const PAUSE: Seconds = Seconds(60);

impl Gate {
    /// The event for it. A token that can be fetched is, soon.
    #[must_use]
    pub fn bot_refused(self: &Rc<Self>, place: usize, host: &mut Host<'_>) -> Option<Event> {
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
            bot: self
                .config
                .access
                .bots
                .get(place)
                .map(|bot| bot.name.clone()),
            detail: Some("expected a credential that is accepted, but found status 401".to_owned()),
            is_quiet,
            ..Event::new(EventKind::BotRefused)
        })
    }
}
