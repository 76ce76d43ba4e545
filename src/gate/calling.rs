//! Requests with a credential of their own: they get what the rule gives, or a refusal. Never a session.

use std::rc::Rc;

use crate::bitbucket::Credential;
use crate::gate::access::{Decision, Patience};
use crate::gate::actor::Actor;
use crate::gate::caller::{Caller, NoCaller};
use crate::gate::client::RequestId;
use crate::gate::forward::whole;
use crate::gate::intent::is_intended;
use crate::gate::presented::{Presented, Scheme};
use crate::gate::protected::{Protected, Subject};
use crate::gate::refusal::Refusal;
use crate::gate::waiting::Wait;
use crate::gate::{Forward, Gate, Reason, Step};
use crate::host::Host;
use crate::http::{HeaderValue, Request};
use crate::policy::{Inject, Rule, TokenForm};

impl Gate {
    /// What becomes of a request that shows a credential of ours; `None` if it shows none.
    pub(super) fn on_caller(
        self: &Rc<Self>,
        presented: Presented,
        subject: Subject<'_>,
        host: &mut Host<'_>,
    ) -> Option<Protected> {
        let Subject {
            request,
            index,
            rule,
            patience,
            ..
        } = subject;
        let named = Some((index, rule));
        let scheme = presented.scheme();
        let caller = match self.judged(presented, request, named, patience, host)? {
            Ok(caller) => caller,
            Err(protected) => return Some(protected),
        };
        let reason = match self.is_meant(scheme, request, rule) {
            false => Reason::CrossSite,
            true => match self.decide(rule, request, Actor::Caller(&caller), patience, host) {
                Decision::Allowed(aging) => {
                    let mut forward = match self.forward_for(subject, &caller, host) {
                        Ok(forward) => forward,
                        Err(stopped) => return Some(*stopped),
                    };
                    // Last, since nobody would begin the job of a request that does not go on.
                    let actor = Actor::Caller(&caller);
                    forward.ahead = aging.and_then(|need| self.ask_ahead(&need, actor, host));
                    return Some(Protected::Decided(Step::Forward(forward)));
                }
                Decision::Later(job, wants) => {
                    return Some(Protected::Waits(Wait {
                        job,
                        wants,
                        reason: Reason::RightsUnavailable,
                    }));
                }
                Decision::Denied(reason) | Decision::Unavailable(reason) => reason,
                Decision::Over => Reason::CredentialRefused,
            },
        };
        let step = Refusal::new(reason).into_step(request, named);
        Some(Protected::Decided(step.about_caller(&caller)))
    }

    /// Whose the credential is that a request shows, or what becomes of the request; `None` if it shows none
    /// of ours.
    pub(super) fn caller_of(
        self: &Rc<Self>,
        request: &Request,
        named: Option<(usize, &Rule)>,
        patience: Patience,
        host: &mut Host<'_>,
    ) -> Option<Result<Rc<Caller>, Protected>> {
        let presented = self.presented(&request.headers, host);
        self.judged(presented, request, named, patience, host)
    }

    fn judged(
        self: &Rc<Self>,
        presented: Presented,
        request: &Request,
        named: Option<(usize, &Rule)>,
        patience: Patience,
        host: &mut Host<'_>,
    ) -> Option<Result<Rc<Caller>, Protected>> {
        let kind = self.kind_of(&presented);
        Some(match self.caller(presented, patience, host)? {
            Ok(caller) => {
                self.succeeded(kind, &caller, request, host);
                Ok(caller)
            }
            Err(NoCaller::Waits(wait)) => Err(Protected::Waits(wait)),
            Err(NoCaller::Refused(reason, detail)) => {
                let refusal = Refusal::new(reason).with_some_detail(detail);
                let step = refusal.into_step(request, named);
                Err(Protected::Decided(self.failed(kind, step, request, host)))
            }
            Err(NoCaller::Unavailable(reason)) => {
                let step = Refusal::new(reason).into_step(request, named);
                Err(Protected::Decided(step))
            }
        })
    }

    /// Whether whoever has the credential means the request: a browser sends a password along with what
    /// other sites make it do, as it does cookies.
    pub(super) fn is_meant(&self, scheme: Scheme, request: &Request, rule: &Rule) -> bool {
        scheme != Scheme::Basic || is_intended(request, &self.config.public.origin, &rule.origins)
    }

    /// Whose the credential is that a request shows; `None` if it shows none of ours.
    pub(super) fn caller(
        self: &Rc<Self>,
        presented: Presented,
        patience: Patience,
        host: &mut Host<'_>,
    ) -> Option<Result<Rc<Caller>, NoCaller>> {
        match presented {
            Presented::Nothing | Presented::Others(_) => None,
            Presented::Bad(reason) | Presented::Failing(reason) => {
                Some(Err(NoCaller::Refused(reason, None)))
            }
            Presented::Token(_, kind, credential) => {
                let owner = self.owner(kind, credential, patience, host);
                Some(owner.map(Rc::new))
            }
            Presented::Jwt(_, judged) => Some(self.bearer_of(judged, patience).map(Rc::new)),
        }
    }

    /// The request as the upstream gets it.
    fn forward_for(
        self: &Rc<Self>,
        subject: Subject<'_>,
        caller: &Rc<Caller>,
        host: &mut Host<'_>,
    ) -> Result<Forward, Box<Protected>> {
        let Subject {
            request,
            cookies,
            index,
            rule,
            patience,
        } = subject;
        let named = (index, rule);
        let stop = |reason| {
            let step = Refusal::new(reason).into_step(request, Some(named));
            Box::new(Protected::Decided(step.about_caller(caller)))
        };
        let own = passed_on(rule, caller).map_err(stop)?;
        let authorization = match own {
            Some(own) => Some(own),
            None => self.bot_authorization(named, request, patience, host)?,
        };
        let actor = Actor::Caller(caller);
        let signed = self.identity_token(rule, actor, host);
        let signed = signed.map_err(|_| stop(Reason::NoRandomness))?;
        let groups = actor
            .identity()
            .and_then(|identity| self.groups_for(identity, host));
        let id = RequestId::of(&request.headers);
        let mut forward = self.forward(request, cookies);
        // It was for us, and goes no further by itself.
        forward.remove.push("authorization".into());
        Ok(forward
            .for_actor(
                &self.config,
                rule.inject,
                actor,
                authorization.as_ref().map(whole),
                groups,
                id,
            )
            .with_identity_token(signed))
    }
}

/// The caller's own credential, where the rule passes it on.
pub(super) fn passed_on(rule: &Rule, caller: &Caller) -> Result<Option<HeaderValue>, Reason> {
    let form = match rule.inject {
        Inject::Bot(..) | Inject::Identity | Inject::None => return Ok(None),
        // A rule that names a consumer wants the token of that one: with its scopes, and no others.
        Inject::Bearer | Inject::Git | Inject::OwnOrBot(..) if rule.consumer.is_some() => {
            return Err(Reason::NoToken);
        }
        Inject::OwnOrBot(..) if caller.credential().is_none() => return Ok(None),
        Inject::Bearer | Inject::OwnOrBot(_, TokenForm::Bearer) => Credential::authorization,
        Inject::Git | Inject::OwnOrBot(_, TokenForm::Git) => Credential::git_authorization,
    };
    let value = caller.credential().and_then(form);
    value.map(Some).ok_or(Reason::NoToken)
}

impl Presented {
    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::Jwt(scheme, _) | Self::Others(scheme) | Self::Token(scheme, ..) => *scheme,
            Self::Bad(_) | Self::Failing(_) | Self::Nothing => Scheme::Other,
        }
    }
}

impl Step {
    /// An answer, with the caller that it is about.
    fn about_caller(mut self, caller: &Caller) -> Self {
        if let Self::Respond(_, event) = &mut self {
            let identity = caller.identity.as_ref();
            event.account_id = identity.map(|identity| identity.account_id.clone());
            event.caller = Some(caller.label());
        }
        self
    }
}
