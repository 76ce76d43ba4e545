//! What becomes of a request: the gate of the module decides as for one without a session, and where
//! it asks for one, the rule decides about the person.

use std::rc::Rc;

use bitgate::config::Config;
use bitgate::gate::{Event, EventKind, Gate, Reason, Step};
use bitgate::host::{Host, NativeSignatures};
use bitgate::http::{Request, RequestTarget, Unreadable};
use bitgate::identity::Principal;
use bitgate::json::Json;
use bitgate::policy::{Allow, Found, Inject, Rule, Shadow, Truth};

use crate::explain::address::Address;
use crate::explain::alone::{Memory, System, now};
use crate::explain::facts::Described;
use crate::explain::trace::{self, Line};
use crate::exposure::receives;
use crate::node::Node;
use crate::person::Person;

/// A site that requests are explained for.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    gate: Rc<Gate>,
    config: Config,
    /// The configuration as it was written.
    written: &'a Json,
    person: Option<&'a Person>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) struct Explanation {
    /// The rules that it meets: those on trial, and the one that decides.
    pub(super) rules: Vec<Met>,
    /// What comes of it.
    pub(super) answer: Answer,
}

/// A rule that a request meets.
#[derive(Debug)]
pub(super) struct Met {
    /// Its place in the list.
    pub(super) index: usize,
    /// Its name.
    pub(super) name: Option<String>,
    /// Whether it decides.
    pub(super) shadow: Shadow,
    /// Its conditions; none if the request was refused before.
    pub(super) lines: Vec<Line>,
    /// Why it refuses, if it does.
    pub(super) refusal: Option<Reason>,
}

/// What comes of a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// The service gets it, and learns this.
    Forwarded(String),
    /// An address of Bitgate's own.
    Own,
    /// It is refused.
    Refused(Reason),
}

/// What the gate says to a request without a session.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Forwarded,
    NeedsSession,
    Own,
    /// By the rule, or before any rule is looked at.
    Refused(Reason, By),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Itself,
    Rule,
}

impl<'a> Judge<'a> {
    /// Opens the gate of a configuration, which has to be read twice for it.
    pub(super) fn new(
        (for_gate, config): (Config, Config),
        written: &'a Json,
        person: Option<&'a Person>,
    ) -> Result<Self, String> {
        let gate = Gate::new(for_gate).ok_or("expected a session key, but found none")?;
        Ok(Self {
            gate,
            config,
            written,
            person,
        })
    }

    /// Explains one request.
    pub(super) fn explain(&self, method: &str, address: &Address<'_>) -> Explanation {
        let authority = match address.authority {
            Some(authority) => authority,
            None => self.config.public.authority.as_str(),
        };
        let fields = [
            (":method", method),
            (":authority", authority),
            (":path", address.target),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let verdict = self.verdict(Request::read(fields.to_vec()));
        let is_about_rules = match verdict {
            Verdict::Forwarded | Verdict::NeedsSession | Verdict::Refused(_, By::Rule) => true,
            Verdict::Own | Verdict::Refused(_, By::Itself) => false,
        };
        let request = Request::read(fields.to_vec())
            .ok()
            .filter(|_| is_about_rules);
        let mut rules = request
            .map(|request| self.meets(&request))
            .unwrap_or_default();
        let decides = rules.last_mut().filter(|met| met.shadow == Shadow::Decides);
        let answer = match (verdict, decides) {
            (Verdict::NeedsSession, Some(met)) => match met.refusal {
                None => Answer::Forwarded(self.receives(met.index)),
                Some(reason) => Answer::Refused(reason),
            },
            (Verdict::NeedsSession, None) => Answer::Refused(Reason::NoSession),
            (Verdict::Forwarded, met) => {
                Answer::Forwarded(met.map(|met| self.receives(met.index)).unwrap_or_default())
            }
            (Verdict::Refused(reason, _), met) => {
                // A wrong host and a public path with "%23" are refused whoever asks.
                if let Some(met) = met
                    && met.refusal != Some(reason)
                {
                    met.lines.clear();
                    met.refusal = Some(reason);
                }
                Answer::Refused(reason)
            }
            (Verdict::Own, _) => Answer::Own,
        };
        Explanation { rules, answer }
    }

    fn verdict(&self, received: Result<Request, Unreadable>) -> Verdict {
        let is_own = received
            .as_ref()
            .is_ok_and(|request| is_own(&request.target));
        let mut host = Host {
            now: now(),
            random: &mut System,
            shared: &mut Memory::default(),
            signatures: &NativeSignatures,
        };
        let mut step = self.gate.on_request(received, &mut host);
        while let Step::Noted(_, next) = step {
            step = *next;
        }
        match step {
            Step::Forward(_) => Verdict::Forwarded,
            Step::Respond(_, event) => of_event(&event, is_own),
            Step::Call(..) | Step::Noted(..) | Step::Wait(..) => Verdict::Own,
        }
    }

    /// The rules that a request meets, up to the one that decides.
    fn meets(&self, request: &Request) -> Vec<Met> {
        let mut met = Vec::new();
        let mut start = 0;
        let policy = &self.config.policy;
        while let Found::Rule(index, rule) =
            policy.find_from(start, &request.method, &request.target)
        {
            met.push(self.meet(index, rule, request));
            if rule.shadow == Shadow::Decides {
                break;
            }
            start = index.saturating_add(1);
        }
        met
    }

    fn meet(&self, index: usize, rule: &Rule, request: &Request) -> Met {
        let described = self
            .person
            .map(|person| Described::new(person, &self.config, rule));
        let written = Node::root(self.written).list("rules");
        let written = written.get(index).and_then(|rule| rule.get("allow"));
        let asked = rule.asked(&request.method, request.target.path());
        let lines = asked
            .map(|asked| trace::lines(&rule.allow, written.as_ref(), asked, described.as_ref()));
        let lines = lines.unwrap_or_default();
        let is_elsewhere = !self.config.public.is_authority(&request.authority);
        // Cookies work on the site's own host only, and credentials on every one.
        let is_elsewhere = is_elsewhere && described.as_ref().is_none_or(Described::has_session);
        let refusal = match (&rule.allow, &described) {
            (Allow::Public, _) => None,
            (Allow::Nobody, _) => Some(Reason::Forbidden),
            (Allow::SignedIn | Allow::When(_), _) if is_elsewhere => Some(Reason::WrongHost),
            (Allow::SignedIn | Allow::When(_), None) => Some(Reason::NoSession),
            (Allow::SignedIn, Some(described)) => {
                let is_person = described.person.principal == Principal::Person;
                (!is_person).then_some(Reason::WrongPrincipal)
            }
            (Allow::When(_), Some(_)) => match lines.first().map(|line| line.truth) {
                Some(Truth::Yes) => None,
                Some(Truth::No(denial) | Truth::Void(denial)) => Some(Reason::from(denial)),
                Some(Truth::Unknown) => Some(Reason::RightsUnavailable),
                // A raw tail that no template takes as it stands.
                None => Some(Reason::NotAllowed),
            },
        };
        let is_in_vain = |described: &Described<'_>| {
            matches!(rule.inject, Inject::Bearer | Inject::Git) && !described.has_token()
        };
        let refusal = match (refusal, &rule.allow, &described) {
            (None, Allow::SignedIn | Allow::When(_), Some(described)) if is_in_vain(described) => {
                Some(Reason::NoToken)
            }
            (refusal, _, _) => refusal,
        };
        let (name, shadow) = (rule.name.clone(), rule.shadow);
        Met {
            index,
            name,
            shadow,
            lines,
            refusal,
        }
    }

    fn receives(&self, index: usize) -> String {
        let rule = self.config.policy.rules().get(index);
        rule.map(|rule| receives(&self.config, self.written, rule))
            .unwrap_or_default()
    }
}

fn of_event(event: &Event, is_own: bool) -> Verdict {
    match (event.event, event.reason, &event.rule) {
        (EventKind::Refused, Some(Reason::NoSession), _) if !is_own => Verdict::NeedsSession,
        // Credentials work there, sessions not.
        (EventKind::Refused, Some(Reason::WrongHost), Some(_)) => Verdict::NeedsSession,
        (EventKind::Refused, Some(reason), Some(_)) => Verdict::Refused(reason, By::Rule),
        (EventKind::Refused, Some(reason), None) => Verdict::Refused(reason, By::Itself),
        _ => Verdict::Own,
    }
}

/// Whether a session that is missing is missed by an address of Bitgate's own.
fn is_own(target: &RequestTarget) -> bool {
    let readings = target.readings();
    readings
        .iter()
        .any(|path| path.split('/').nth(1) == Some("_bitgate"))
}
