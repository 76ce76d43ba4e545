//! Rules on trial: what they would decide is logged, and the next rule decides.

use std::rc::Rc;

use crate::gate::access::{Decision, Patience};
use crate::gate::actor::Actor;
use crate::gate::caller::NoCaller;
use crate::gate::calling::passed_on;
use crate::gate::facts::TokenScopes;
use crate::gate::intent::is_intended;
use crate::gate::waiting::Wait;
use crate::gate::{Event, EventKind, Gate, Reason};
use crate::host::Host;
use crate::http::{Cookies, Request};
use crate::policy::{Allow, Rule};
use crate::session::Absence;

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
        let line = |reason: Option<Reason>, account_id: Option<String>| Event {
            reason,
            rule: Some(rule.label(index)),
            account_id,
            ..Event::new(EventKind::Shadowed).of(request)
        };
        let event = |reason, account_id| Trial::Event(line(reason, account_id));
        match rule.allow {
            Allow::Public => return event(None, None),
            Allow::Nobody => return event(Some(Reason::Forbidden), None),
            Allow::SignedIn | Allow::When(_) => {}
        }
        let presented = self.presented(&request.headers, host);
        let scheme = presented.scheme();
        match self.caller(presented, patience, host) {
            None => {}
            Some(Ok(caller)) => {
                let actor = Actor::Caller(&caller);
                let reason = match self.is_meant(scheme, request, rule) {
                    false => Ok(Some(Reason::CrossSite)),
                    true => {
                        let reason = self.trial(rule, request, actor, patience, host);
                        reason.map(|reason| reason.or_else(|| passed_on(rule, &caller).err()))
                    }
                };
                let identity = actor.identity();
                let account_id = identity.map(|identity| identity.account_id.clone());
                return match reason {
                    Ok(reason) => Trial::Event(Event {
                        caller: Some(caller.label()),
                        ..line(reason, account_id)
                    }),
                    Err(wait) => Trial::Waits(wait),
                };
            }
            Some(Err(NoCaller::Waits(wait))) => return Trial::Waits(wait),
            Some(Err(NoCaller::Refused(reason, _) | NoCaller::Unavailable(reason))) => {
                return event(Some(reason), None);
            }
        }
        if !self.config.public.is_authority(&request.authority) {
            return event(Some(Reason::WrongHost), None);
        }
        let cookies = Cookies::read(&request.headers);
        let signed_in = match self.session(&cookies, host) {
            Ok(signed_in) => signed_in,
            Err(Absence::Away) => return event(Some(Reason::GrantElsewhere), None),
            Err(absence) => return event(Some(Reason::from(absence)), None),
        };
        let account_id = Some(signed_in.session.identity.account_id.clone());
        if !is_intended(request, &self.config.public.origin, &rule.origins) {
            return event(Some(Reason::CrossSite), account_id);
        }
        let named = self.opened_for(rule, &signed_in, &cookies, host);
        let scopes = match (&rule.consumer, &named) {
            (None, _) => TokenScopes::of(&signed_in),
            (Some(_), Some(named)) => TokenScopes::of(named),
            (Some(_), None) => return event(Some(Reason::NoGrant), account_id),
        };
        let actor = Actor::Session(&signed_in, scopes);
        match self.trial(rule, request, actor, patience, host) {
            Ok(reason) => event(reason, account_id),
            Err(wait) => Trial::Waits(wait),
        }
    }

    /// What the rule would say: nothing against it, or a reason.
    fn trial(
        self: &Rc<Self>,
        rule: &Rule,
        request: &Request,
        actor: Actor<'_>,
        patience: Patience,
        host: &mut Host<'_>,
    ) -> Result<Option<Reason>, Wait> {
        match self.decide(rule, request, actor, patience, host) {
            Decision::Allowed(_) => Ok(None),
            Decision::Denied(reason) | Decision::Unavailable(reason) => Ok(Some(reason)),
            Decision::Over => Ok(Some(Reason::GrantRefused)),
            Decision::Later(job, wants) => Err(Wait {
                job,
                wants,
                reason: Reason::RightsUnavailable,
            }),
        }
    }
}
