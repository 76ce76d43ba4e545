//! What needs a session: who it is, whether they mean it, what they may, and with which token.

use std::rc::Rc;

use crate::bitbucket::git_authorization;
use crate::gate::access::{Decision, Patience};
use crate::gate::actor::Actor;
use crate::gate::client::{RequestId, is_navigation};
use crate::gate::facts::{Need, TokenScopes};
use crate::gate::forward::whole;
use crate::gate::intent::is_intended;
use crate::gate::presented::{Presented, Scheme};
use crate::gate::refusal::Refusal;
use crate::gate::renewal::{Halt, renewal_of};
use crate::gate::waiting::Wait;
use crate::gate::{Forward, Gate, Job, Reason, Step};
use crate::host::Host;
use crate::http::{Cookies, Request};
use crate::policy::{Inject, Rule, TokenForm};
use crate::session::{Absence, SignedIn};

/// What becomes of a request that needs a session.
#[cfg_attr(
    not(target_family = "wasm"),
    expect(
        clippy::large_enum_variant,
        reason = "one for each request, and moved once: a box would be an allocation"
    )
)]
pub(super) enum Protected {
    Decided(Step),
    /// It has to wait.
    Waits(Wait),
}

/// A request on a rule that needs a session.
#[derive(Clone, Copy)]
pub(super) struct Subject<'r> {
    pub(super) request: &'r Request,
    pub(super) cookies: &'r Cookies<'r>,
    pub(super) index: usize,
    pub(super) rule: &'r Rule,
    pub(super) patience: Patience,
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
        let cookies = Cookies::read(&request.headers);
        let subject = Subject {
            request,
            cookies: &cookies,
            index,
            rule,
            patience,
        };
        let presented = self.presented(&request.headers, host);
        let shows_bearer = matches!(presented, Presented::Others(Scheme::Bearer));
        if let Some(protected) = self.on_caller(presented, subject, host) {
            return protected;
        }
        if !self.config.public.is_authority(&request.authority) {
            return Protected::Decided(self.refuse(request, named, Reason::WrongHost));
        }
        let signed_in = match self.session(&cookies, host) {
            Ok(signed_in) => signed_in,
            // Whoever sends a token means it, and will not look at a page to sign in.
            Err(Absence::Missing)
                if shows_bearer && !is_navigation(&request.method, &request.headers) =>
            {
                return Protected::Decided(self.refuse(request, named, Reason::InvalidToken));
            }
            Err(Absence::Away) => {
                return Protected::Decided(self.send_for_grant(request, named, None));
            }
            Err(absence) => {
                let reason = Reason::from(absence);
                return Protected::Decided(self.challenge(request, &cookies, reason, host));
            }
        };
        if !is_intended(request, &self.config.public.origin, &rule.origins) {
            return Protected::Decided(self.refuse(request, named, Reason::CrossSite));
        }
        // Nothing can be asked with a token that has ended. One that has not is renewed only for those
        // who may go on.
        let (signed_in, set) = match host.now < signed_in.grant.expires_at {
            true => (signed_in, Vec::new()),
            false => {
                let main = &self.consumers.main;
                match self.current(main, Rc::clone(&signed_in), &cookies, host) {
                    Ok(good) => (good.signed_in, good.cookies),
                    Err(halt) => return self.halted(halt, subject, &signed_in, host),
                }
            }
        };
        // What was renewed must reach the browser, whatever becomes of the request.
        match self.go_on(subject, signed_in, host) {
            Ok(mut forward) => {
                forward.response.cookies.extend(set);
                Protected::Decided(Step::Forward(forward))
            }
            Err(protected) => match *protected {
                Protected::Decided(step) => Protected::Decided(step.bringing(&set)),
                waits @ Protected::Waits(_) => waits,
            },
        }
    }

    /// What the request goes upstream with, for somebody whose main token works.
    fn go_on(
        self: &Rc<Self>,
        subject: Subject<'_>,
        signed_in: Rc<SignedIn>,
        host: &mut Host<'_>,
    ) -> Result<Forward, Box<Protected>> {
        let Subject {
            request,
            cookies,
            index,
            rule,
            ..
        } = subject;
        let aging = self.permitted(subject, &signed_in, host)?;
        let of_bot = self.bot_authorization_for(subject, &signed_in, host)?;
        // Before a lease is taken, which a refusal would leave to nobody.
        let Ok(signed) =
            self.identity_token(rule, Actor::Session(&signed_in, TokenScopes::Unsaid), host)
        else {
            let step = self.refuse(request, Some((index, rule)), Reason::NoRandomness);
            return Err(Box::new(Protected::Decided(step)));
        };
        let slid = self.sessions.slide(&signed_in, host.now, host.random);
        let good = match self.current_for(rule, Rc::clone(&signed_in), cookies, host) {
            Ok(good) => good,
            Err(halt) => return Err(Box::new(self.halted(halt, subject, &signed_in, host))),
        };
        let id = RequestId::of(&request.headers);
        let groups = self.groups_for(&good.signed_in.session.identity, host);
        let injected = good.injected();
        // A token that is no header value was refused when it was read.
        let made = match rule.inject {
            Inject::Git | Inject::OwnOrBot(_, TokenForm::Git) => {
                git_authorization(&injected.grant.access_token)
            }
            Inject::Bearer | Inject::OwnOrBot(_, TokenForm::Bearer) => None,
            Inject::Bot(..) | Inject::Identity | Inject::None => of_bot,
        };
        let authorization = match rule.inject {
            Inject::Bearer | Inject::OwnOrBot(_, TokenForm::Bearer) => injected.bearer_parts(),
            Inject::Git | Inject::OwnOrBot(_, TokenForm::Git) => made.as_ref().map(whole),
            Inject::Bot(..) | Inject::Identity | Inject::None => made.as_ref().map(whole),
        };
        let actor = Actor::Session(&good.signed_in, TokenScopes::Unsaid);
        let mut forward = self
            .forward(request, cookies)
            .for_actor(&self.config, rule.inject, actor, authorization, groups, id)
            .with_identity_token(signed);
        forward.response.cookies.extend(slid);
        if good.cookies.is_empty() {
            let named = good.named.as_ref();
            let settled = self.settle(&good.signed_in, named, rule, cookies, host);
            forward.response.cookies.extend(settled);
        }
        forward.response.cookies.extend(good.cookies);
        forward.response.watch = good.watch;
        forward.renewal = good.renewal;
        // Last, since nobody would begin the job of a request that does not go on.
        forward.ahead = aging.and_then(|need| self.ask_ahead(&need, actor, host));
        Ok(forward)
    }

    /// What becomes of a request without a grant to go on with.
    fn halted(
        self: &Rc<Self>,
        halt: Halt,
        subject: Subject<'_>,
        signed_in: &SignedIn,
        host: &mut Host<'_>,
    ) -> Protected {
        let Subject {
            request,
            cookies,
            patience,
            ..
        } = subject;
        Protected::Decided(match halt {
            Halt::Later(renewal) if patience == Patience::Left => {
                return Protected::Waits(Wait {
                    job: renewal.map(Job::Renewal),
                    wants: renewal_of(&signed_in.session.id),
                    reason: Reason::RenewalUnavailable,
                });
            }
            Halt::Later(_) | Halt::Unknown => {
                let step = self.unknown(request, Reason::RenewalUnavailable);
                self.not_idle(step, signed_in, host)
            }
            Halt::Away => {
                let rule = subject.rule;
                let consumer = rule.consumer.as_deref();
                self.send_for_grant(request, Some((subject.index, rule)), consumer)
            }
            Halt::NoGrant(second) => self.ask_for_grant(request, cookies, second, host),
            Halt::Over => self.challenge(request, cookies, Reason::GrantRefused, host),
        })
    }

    /// Whether the rule's condition lets the person through: what to ask ahead of time, or what becomes
    /// of the request instead.
    fn permitted(
        self: &Rc<Self>,
        subject: Subject<'_>,
        signed_in: &SignedIn,
        host: &mut Host<'_>,
    ) -> Result<Option<Need>, Box<Protected>> {
        let Subject {
            request,
            cookies,
            index,
            rule,
            patience,
        } = subject;
        let named = self.opened_for(rule, signed_in, cookies, host);
        let scopes = match (&rule.consumer, &named) {
            (None, _) => TokenScopes::of(signed_in),
            (Some(_), Some(named)) => TokenScopes::of(named),
            (Some(_), None) => TokenScopes::NoToken,
        };
        let may_lack_grant = rule.consumer.is_some() && named.is_none();
        let step = match self.decide(
            rule,
            request,
            Actor::Session(signed_in, scopes),
            patience,
            host,
        ) {
            Decision::Allowed(aging) => return Ok(aging),
            // Asked for next: the rule may look at its scopes.
            Decision::Unavailable(_) if may_lack_grant => return Ok(None),
            Decision::Later(job, wants) => {
                return Err(Box::new(Protected::Waits(Wait {
                    job,
                    wants,
                    reason: Reason::RightsUnavailable,
                })));
            }
            Decision::Over => self.challenge(request, cookies, Reason::GrantRefused, host),
            Decision::Denied(reason) => Refusal::new(reason)
                .about_person()
                .with_retry(request.target.as_str())
                .into_step(request, Some((index, rule))),
            Decision::Unavailable(reason) => {
                let step = Refusal::new(reason)
                    .with_retry(request.target.as_str())
                    .into_step(request, Some((index, rule)));
                self.not_idle(step, signed_in, host)
            }
        };
        let account_id = &signed_in.session.identity.account_id;
        Err(Box::new(Protected::Decided(step.about(account_id))))
    }

    /// An answer for somebody who would go on if Bitbucket answered: they use their session, and are not
    /// sent to sign in for it.
    pub(super) fn not_idle(&self, step: Step, signed_in: &SignedIn, host: &mut Host<'_>) -> Step {
        let slid = self.sessions.slide(signed_in, host.now, host.random);
        step.bringing(slid.as_slice())
    }
}
