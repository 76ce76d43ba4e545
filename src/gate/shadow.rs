//! Rules on trial: what they would decide is logged, and the next rule decides.

use std::rc::Rc;

use crate::gate::access::{Decision, Patience};
use crate::gate::facts::TokenScopes;
use crate::gate::intent::is_intended;
use crate::gate::waiting::Wait;
use crate::gate::{Event, EventKind, Gate, Reason};
use crate::host::Host;
use crate::http::{Cookies, Request};
use crate::policy::{Allow, Rule};

/// What comes of a rule on trial.
#[derive(Debug)]
pub(super) enum Trial {
    /// It would have decided like this.
    Event(Event),
    /// Bitbucket has to be asked first.
    Waits(Wait),
}

impl Gate {
    /// Evaluates a rule that does not decide. Nothing of it reaches the client.
    pub(super) fn try_out(
        self: &Rc<Self>,
        (index, rule): (usize, &Rule),
        request: &Request,
        patience: Patience,
        host: &mut Host<'_>,
    ) -> Trial {
        let event = |reason: Option<Reason>, account_id: Option<String>| {
            Trial::Event(Event {
                reason,
                rule: Some(rule.label(index)),
                account_id,
                ..Event::new(EventKind::Shadowed).of(request)
            })
        };
        match rule.allow {
            Allow::Public => return event(None, None),
            Allow::Nobody => return event(Some(Reason::Forbidden), None),
            Allow::SignedIn | Allow::When(_) => {}
        }
        if !self.config.public.is_authority(&request.authority) {
            return event(Some(Reason::WrongHost), None);
        }
        let cookies = Cookies::read(&request.headers);
        let signed_in = match self.session(&cookies, host) {
            Ok(signed_in) => signed_in,
            Err(absence) => return event(Some(Reason::from(absence)), None),
        };
        let account_id = Some(signed_in.session.identity.account_id.clone());
        if !is_intended(request, &self.config.public.origin, &rule.origins) {
            return event(Some(Reason::CrossSite), account_id);
        }
        let named = self.opened_for(rule, &signed_in, &cookies);
        let scopes = match (&rule.consumer, &named) {
            (None, _) => TokenScopes::of(&signed_in),
            (Some(_), Some(named)) => TokenScopes::of(named),
            (Some(_), None) => return event(Some(Reason::NoGrant), account_id),
        };
        match self.decide(rule, request, (&signed_in, scopes), patience, host) {
            Decision::Allowed(_) => event(None, account_id),
            Decision::Denied(reason) | Decision::Unavailable(reason) => {
                event(Some(reason), account_id)
            }
            Decision::Over => event(Some(Reason::GrantRefused), account_id),
            Decision::Later(job, wants) => Trial::Waits(Wait {
                job,
                wants,
                reason: Reason::RightsUnavailable,
            }),
        }
    }
}
