//! What needs a session: who it is, whether they mean it, what they may, and with which token.

use std::rc::Rc;

use crate::gate::access::{Decision, Patience};
use crate::gate::client::RequestId;
use crate::gate::intent::is_intended;
use crate::gate::refusal::Refusal;
use crate::gate::renewal::{Current, renewal_of};
use crate::gate::waiting::Wait;
use crate::gate::{Gate, Job, Reason, Step};
use crate::host::Host;
use crate::http::{Cookies, Request, SetCookie};
use crate::policy::Rule;
use crate::session::SignedIn;

/// What becomes of a request that needs a session.
pub(super) enum Protected {
    Decided(Step),
    /// It has to wait.
    Waits(Wait),
}

impl Gate {
    /// Judges a request that needs a session, by the rule that decides.
    pub(super) fn on_protected(
        self: &Rc<Self>,
        request: &Request,
        (index, rule): (usize, &Rule),
        patience: Patience,
        host: &mut Host<'_>,
    ) -> Protected {
        let named = Some((index, rule));
        if !self.config.public.is_authority(&request.authority) {
            return Protected::Decided(self.refuse(request, named, Reason::WrongHost));
        }
        let cookies = Cookies::read(&request.headers);
        let signed_in = match self.session(&cookies, host) {
            Ok(signed_in) => signed_in,
            Err(absence) => {
                let reason = Reason::from(absence);
                return Protected::Decided(self.challenge(request, &cookies, reason, host));
            }
        };
        if !is_intended(request, &self.config.public.origin, &rule.origins) {
            return Protected::Decided(self.refuse(request, named, Reason::CrossSite));
        }
        // While the token is good it is renewed for those who may go on only: what is renewed must
        // reach the browser.
        let is_good = host.now < signed_in.grant.expires_at;
        let mut ahead = None;
        if is_good {
            match self.permitted(
                request,
                (index, rule),
                &signed_in,
                Vec::new(),
                patience,
                host,
            ) {
                Ok(job) => ahead = job,
                Err(protected) => return *protected,
            }
        }
        // Before a lease is taken, which a refusal would leave to nobody.
        let Ok(token) = self.identity_token(rule, &signed_in, host) else {
            return Protected::Decided(self.refuse(request, named, Reason::NoRandomness));
        };
        let session_id = signed_in.session.id.clone();
        let slid = self.sessions.slide(&signed_in, host.now, host.random);
        let (signed_in, set, watch, renewal) = match self.current(signed_in, &cookies, host) {
            Current::Good(signed_in, set, watch, renewal) => (signed_in, set, watch, renewal),
            Current::Later(renewal) if patience == Patience::Left => {
                return Protected::Waits(Wait {
                    job: renewal.map(Job::Renewal),
                    wants: renewal_of(&session_id),
                    reason: Reason::RenewalUnavailable,
                });
            }
            Current::Later(_) | Current::Unknown => {
                return Protected::Decided(self.unknown(request, Reason::RenewalUnavailable));
            }
            Current::Over => {
                let step = self.challenge(request, &cookies, Reason::GrantRefused, host);
                return Protected::Decided(step);
            }
        };
        if !is_good {
            match self.permitted(
                request,
                (index, rule),
                &signed_in,
                set.clone(),
                patience,
                host,
            ) {
                Ok(job) => ahead = job,
                Err(protected) => return *protected,
            }
        }
        let forward = self.forward(request, &cookies);
        let id = RequestId::of(&request.headers);
        let groups = self.groups_for(&signed_in.session.identity, host);
        let mut forward = forward.for_person(&self.config, rule.inject, &signed_in, groups, id);
        forward = forward.with_identity_token(token);
        forward.response.cookies.extend(slid);
        forward.response.cookies.extend(set);
        forward.response.watch = watch;
        forward.renewal = renewal;
        forward.ahead = ahead;
        Protected::Decided(Step::Forward(forward))
    }

    /// Whether the rule's condition lets the person through: what to ask ahead of time, or what becomes
    /// of the request instead. `set` are cookies that any answer must bring.
    fn permitted(
        self: &Rc<Self>,
        request: &Request,
        (index, rule): (usize, &Rule),
        signed_in: &SignedIn,
        set: Vec<SetCookie>,
        patience: Patience,
        host: &mut Host<'_>,
    ) -> Result<Option<Job>, Box<Protected>> {
        let reason = match self.decide(rule, request, signed_in, patience, host) {
            Decision::Allowed(ahead) => return Ok(ahead),
            Decision::Later(job, wants) => {
                return Err(Box::new(Protected::Waits(Wait {
                    job,
                    wants,
                    reason: Reason::RightsUnavailable,
                })));
            }
            Decision::Over => {
                let cookies = Cookies::read(&request.headers);
                let step = self.challenge(request, &cookies, Reason::GrantRefused, host);
                return Err(Box::new(Protected::Decided(step)));
            }
            Decision::Denied(reason) | Decision::Unavailable(reason) => reason,
        };
        let mut refusal = Refusal::new(reason).with_cookies(set);
        if reason.status() == 503 {
            refusal = refusal.with_retry(request.target.as_str());
        }
        let account_id = &signed_in.session.identity.account_id;
        let step = refusal
            .into_step(request, Some((index, rule)))
            .about(account_id);
        Err(Box::new(Protected::Decided(step)))
    }
}
