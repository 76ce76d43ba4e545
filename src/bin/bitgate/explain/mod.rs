//! `bitgate explain`: what becomes of a request, and why.
//!
//! The request runs through the gate of the module, as one without a session. What the gate decides
//! then holds for everybody. Where it asks for a sign-in, the person decides.

mod address;
mod alone;

use std::fmt::Write as _;
use std::io::{self, Write};

use bitgate::config::Config;
use bitgate::gate::{EventKind, Gate, Reason, Step};
use bitgate::host::Host;
use bitgate::http::{Request, RequestTarget, Unreadable};
use bitgate::policy::{Allow, Found, Policy, Rule};
use serde_json::{Value, json};

use crate::arguments::{ExplainOptions, Form, Unset};
use crate::explain::address::Address;
use crate::explain::alone::{Memory, System, now};
use crate::finding::{Findings, one_line};
use crate::input::Input;
use crate::node::Node;
use crate::person::Person;
use crate::plugin::Plugin;
use crate::{Outcome, check, complain, configuration, exposure};

/// Says what becomes of a request.
pub(crate) fn run(options: &ExplainOptions, out: &mut impl Write) -> io::Result<Outcome> {
    let explanation = match explain(options) {
        Ok(explanation) => explanation,
        Err(message) => {
            complain(&message);
            return Ok(Outcome::Usage);
        }
    };
    match options.form {
        Form::Json => writeln!(out, "{}", explanation.to_json())?,
        Form::Text => write!(out, "{}", explanation.to_text())?,
    }
    Ok(match explanation.answer {
        Answer::Forwarded(_) | Answer::Own => Outcome::Fine,
        Answer::Refused(_) => Outcome::Problems,
    })
}

/// What becomes of a request.
#[derive(Debug)]
struct Explanation {
    /// Which configuration decided.
    place: String,
    /// Method and address.
    request: (String, String),
    /// The rule that was found, by index and by name.
    rule: Option<(usize, Option<String>)>,
    /// What it asks for, and whether that holds.
    conditions: Vec<(String, bool)>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    /// The service gets it, and learns this.
    Forwarded(String),
    /// An address of Bitgate's own.
    Own,
    Refused(Reason),
}

fn explain(options: &ExplainOptions) -> Result<Explanation, String> {
    let address = Address::read(&options.url)?;
    let person = options.person.as_deref().map(Person::read).transpose()?;
    let input = Input::read(&options.file)
        .map_err(|error| format!("{}: {error}", options.file.to_string_lossy()))?;
    let mut findings = Findings::default();
    let plugins = check::plugins(&input, &mut findings);
    let accepted = plugins.iter().filter_map(|plugin| {
        let config = configuration::read(plugin, Unset::StandIn, &mut findings)?;
        Some((plugin, config))
    });
    let accepted: Vec<_> = accepted.collect();
    let (plugin, config) = choose(accepted, options, &address)?;
    let authority = match address.authority {
        Some(authority) => authority,
        None => config.public.authority.as_str(),
    };
    let fields = [
        (":method", options.method.as_str()),
        (":authority", authority),
        (":path", address.target),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let received = Request::read(fields.to_vec());
    let rule = received.as_ref().ok().and_then(|request| {
        let (index, rule) = found(&config.policy, request)?;
        Some((index, rule.clone(), exposure::receives(&config, rule)))
    });
    let verdict = of_gate(config, received)?;
    let (holds, answer) = match (verdict, &rule) {
        (Verdict::NeedsSession, Some((_, rule, receives))) => {
            match for_person(rule, person.as_ref()) {
                Ok(()) => (Some(true), Answer::Forwarded(receives.clone())),
                Err(reason) => (Some(false), Answer::Refused(reason)),
            }
        }
        (Verdict::NeedsSession, None) => (None, Answer::Refused(Reason::NoSession)),
        (Verdict::Forwarded, rule) => {
            let receives = rule.as_ref().map(|(_, _, receives)| receives.clone());
            (Some(true), Answer::Forwarded(receives.unwrap_or_default()))
        }
        (Verdict::RefusedByRule(Reason::Forbidden), _) => {
            (Some(false), Answer::Refused(Reason::Forbidden))
        }
        (Verdict::RefusedByRule(reason), _) => (None, Answer::Refused(reason)),
        (Verdict::Refused(reason), _) => (None, Answer::Refused(reason)),
        (Verdict::Own, _) => (None, Answer::Own),
    };
    // No rule is looked at where the request itself, or an address of Bitgate's own, decides.
    let rule = rule.filter(|_| verdict.is_about_a_rule());
    let written = rule
        .as_ref()
        .and_then(|(index, ..)| allow_of(plugin, *index));
    Ok(Explanation {
        place: plugin.place.name.clone(),
        request: (options.method.clone(), options.url.clone()),
        rule: rule.map(|(index, rule, _)| (index, rule.name)),
        conditions: written.zip(holds).into_iter().collect(),
        answer,
    })
}

/// The configuration that is meant: the one that was named, or the only one for the host.
fn choose<'p>(
    accepted: Vec<(&'p Plugin, Config)>,
    options: &ExplainOptions,
    address: &Address<'_>,
) -> Result<(&'p Plugin, Config), String> {
    let names: Vec<_> = accepted
        .iter()
        .map(|(plugin, config)| format!("  {} ({})", plugin.place.name, config.public.origin))
        .collect();
    let is_for_host = |config: &Config| {
        address
            .authority
            .is_some_and(|authority| config.public.is_authority(authority))
    };
    let is_only = accepted.len() == 1;
    let mut meant = accepted
        .into_iter()
        .filter(|(plugin, config)| match &options.place {
            Some(place) => plugin.place.name == *place,
            None => is_only || is_for_host(config),
        });
    match (meant.next(), meant.next(), names.is_empty()) {
        (Some(only), None, _) => Ok(only),
        (_, _, true) => {
            Err("expected a configuration without errors: see bitgate check".to_owned())
        }
        _ => Err(format!(
            "expected --in with the place of one configuration:\n{}",
            names.join("\n")
        )),
    }
}

/// The rule that the gate finds.
fn found<'p>(policy: &'p Policy, request: &Request) -> Option<(usize, &'p Rule)> {
    match policy.find(&request.method, &request.target) {
        Found::Rule(index, rule) => Some((index, rule)),
        Found::Ambiguous(_) | Found::Nothing => None,
    }
}

/// What the rule asks for, as it was written.
fn allow_of(plugin: &Plugin, index: usize) -> Option<String> {
    let rules = Node::root(&plugin.configuration.json).list("rules");
    let allow = rules.get(index)?.get("allow")?;
    Some(exposure::flow(allow.json))
}

/// What the gate says to a request without a session.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Forwarded,
    NeedsSession,
    Own,
    Refused(Reason),
    RefusedByRule(Reason),
}

impl Verdict {
    fn is_about_a_rule(self) -> bool {
        match self {
            Self::Forwarded | Self::NeedsSession | Self::RefusedByRule(_) => true,
            Self::Own | Self::Refused(_) => false,
        }
    }
}

fn of_gate(config: Config, received: Result<Request, Unreadable>) -> Result<Verdict, String> {
    let gate = Gate::new(config).ok_or("expected a session key, but found none")?;
    let is_own = received
        .as_ref()
        .is_ok_and(|request| is_own(&request.target));
    let mut host = Host {
        now: now(),
        random: &mut System,
        shared: &mut Memory::default(),
    };
    Ok(match gate.on_request(received, &mut host) {
        Step::Forward(_) => Verdict::Forwarded,
        Step::Respond(_, event) => match (event.event, event.reason, event.rule) {
            (EventKind::Refused, Some(Reason::NoSession), _) if !is_own => Verdict::NeedsSession,
            (EventKind::Refused, Some(reason), Some(_)) => Verdict::RefusedByRule(reason),
            (EventKind::Refused, Some(reason), None) => Verdict::Refused(reason),
            _ => Verdict::Own,
        },
        Step::Call(..) | Step::Wait(..) => Verdict::Own,
    })
}

/// Whether a session that is missing is missed by an address of Bitgate's own.
fn is_own(target: &RequestTarget) -> bool {
    target
        .readings()
        .iter()
        .any(|path| path.split('/').nth(1) == Some("_bitgate"))
}

/// What a rule that needs a session says about a person.
fn for_person(rule: &Rule, person: Option<&Person>) -> Result<(), Reason> {
    let Some(_person) = person else {
        return Err(Reason::NoSession);
    };
    match rule.allow {
        Allow::Public | Allow::SignedIn => Ok(()),
        Allow::Nobody => Err(Reason::Forbidden),
    }
}

impl Explanation {
    fn to_json(&self) -> Value {
        let rule = self
            .rule
            .as_ref()
            .map(|(index, name)| json!({"index": index, "name": name}));
        let conditions = self.conditions.iter();
        let conditions: Vec<_> = conditions
            .map(|(text, holds)| json!({"condition": text, "holds": holds}))
            .collect();
        let (outcome, receives, reason) = match &self.answer {
            Answer::Forwarded(receives) => ("forwarded", Some(receives), None),
            Answer::Own => ("answered", None, None),
            Answer::Refused(reason) => ("refused", None, Some(*reason)),
        };
        json!({
            "configuration": self.place,
            "method": self.request.0,
            "url": self.request.1,
            "rule": rule,
            "conditions": conditions,
            "outcome": outcome,
            "receives": receives,
            "status": reason.map(Reason::status),
            "reason": reason.map(Reason::code),
        })
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        let (method, url) = &self.request;
        let _ = writeln!(text, "{} {}", one_line(method), one_line(url));
        let _ = writeln!(text, "  configuration: {}", one_line(&self.place));
        let _ = match &self.rule {
            Some((index, Some(name))) => writeln!(text, "  rule: rules[{index}] {name}"),
            Some((index, None)) => writeln!(text, "  rule: rules[{index}]"),
            None => writeln!(text, "  rule: none"),
        };
        for (condition, holds) in &self.conditions {
            let holds = match holds {
                true => "yes",
                false => "no",
            };
            let _ = writeln!(text, "  {}: {holds}", one_line(condition));
        }
        let _ = match &self.answer {
            Answer::Forwarded(receives) => {
                writeln!(
                    text,
                    "  outcome: forwarded; the service receives: {receives}"
                )
            }
            Answer::Own => writeln!(text, "  outcome: answered by Bitgate itself"),
            Answer::Refused(reason) => writeln!(
                text,
                "  outcome: refused with {} {}: {}",
                reason.status(),
                reason.code(),
                reason.text()
            ),
        };
        text
    }
}
