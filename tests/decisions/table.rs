//! The table, and what is compared.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bitgate::config::Config;
use bitgate::http::RequestTarget;
use bitgate::policy::{Found, Shadow};
use serde_json::{Value, json};

use crate::draw::Draw;
use crate::edge::{Answer, Decider};
use crate::reference::{self, Verdict};
use crate::rows::{Row, row};
use crate::rules::Rules;
use crate::site::{Form, SCOPES, Site};
use crate::support::example::Example;
use crate::support::native_edge::environment;
use crate::support::world::Kind;

/// A world, its requests, and what must come of them.
pub struct Table {
    pub site: Site,
    pub config: Value,
    rows: Vec<Row>,
    verdicts: Vec<Verdict>,
}

static PINNED: LazyLock<Table> = LazyLock::new(|| Table::new("pinned", Form::Pinned, 1_000, 60, 8));
static WITH_BOT: LazyLock<Table> = LazyLock::new(|| Table::new("bot", Form::WithBot, 300, 30, 8));

impl Table {
    /// A thousand people in seven workspaces.
    pub fn pinned() -> &'static Self {
        &PINNED
    }

    /// Three hundred people in one.
    pub fn with_bot() -> &'static Self {
        &WITH_BOT
    }

    fn new(name: &str, form: Form, people: usize, sets: usize, rows_each: usize) -> Self {
        let mut draw = Draw::new(5);
        let site = Site::new(form, people, &mut draw);
        let mut config = Example::read("demo.yaml").plugin();
        site.configure(&mut config);
        config["rules"] = Rules::new(&site, &mut draw).sets(sets).into();
        without_unreachable(&mut config);
        let rules = config["rules"].as_array().unwrap();
        let mut rows = Vec::new();
        for person in 0..people {
            for _ in 0..rows_each {
                let person = (!draw.is_one_of_100(7)).then_some(person);
                rows.push(row(rules, person, &mut draw));
            }
        }
        let (exported, workspaces) = site.export();
        let requests: Vec<Value> = rows.iter().map(|row| row.to_json(&site)).collect();
        let document = json!({
            "config": config, "people": exported, "workspaces": workspaces, "scopes": SCOPES, "requests": requests,
        });
        let verdicts = reference::ask(name, &document);
        let table = Self {
            site,
            config,
            rows,
            verdicts,
        };
        table.is_worth_something();
        table
    }

    /// A table in which everybody is refused shows nothing.
    fn is_worth_something(&self) {
        assert_eq!(self.rows.len(), self.verdicts.len());
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for verdict in &self.verdicts {
            *counts.entry(&verdict.verdict).or_default() += 1;
            for reason in &verdict.reasons {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        let trials: usize = self
            .verdicts
            .iter()
            .map(|verdict| verdict.trials.len())
            .sum();
        let rules = self.config["rules"].as_array().unwrap().len();
        println!(
            "{} rows, {rules} rules, {counts:?}, {trials} trials; {reasons:?}",
            self.rows.len()
        );
        for (verdict, percent) in [
            ("allow", 20),
            ("deny", 20),
            ("sign_in", 2),
            ("bad_path", 5),
            ("no_rule", 1),
        ] {
            let count = counts.get(verdict).copied().unwrap_or_default();
            assert!(
                count * 100 >= self.rows.len() * percent,
                "{verdict}: {count}"
            );
        }
    }

    /// Asks an edge about each row, and compares.
    pub fn check(&self, kind: Kind) {
        let mut decider = Decider::new(kind, self);
        let mut wrong = Vec::new();
        for (row, verdict) in self.rows.iter().zip(&self.verdicts) {
            let answer = decider.ask(row);
            if let Some(difference) = self.difference(row, verdict, &answer) {
                wrong.push(format!(
                    "{difference}\n  {row:?}\n  {verdict:?}\n  {answer:?}{}",
                    self.shown(verdict)
                ));
            }
        }
        let first: Vec<&str> = wrong.iter().take(12).map(String::as_str).collect();
        assert!(
            wrong.is_empty(),
            "{} of {} differ: {}",
            wrong.len(),
            self.rows.len(),
            first.join("\n")
        );
        self.compare_events(&decider.events());
    }

    fn shown(&self, verdict: &Verdict) -> String {
        let rule = verdict
            .rule
            .map(|rule| self.config["rules"][rule].to_string());
        format!("\n  {}", rule.unwrap_or_default())
    }

    fn difference(&self, row: &Row, verdict: &Verdict, answer: &Answer) -> Option<String> {
        if u64::from(answer.status) != verdict.status {
            return Some(format!("status {} for {}", answer.status, verdict.status));
        }
        let is_allowed = verdict.verdict == "allow";
        if is_allowed != answer.received.is_some() {
            return Some("the upstream was asked".to_owned());
        }
        let is_named = answer.reason.is_empty() || verdict.reasons.contains(&answer.reason);
        // Who is sent away gets no code, and Envoy has none of its own.
        if !is_named || (answer.reason.is_empty() && answer.status == 403) {
            return Some(format!("reason {}", answer.reason));
        }
        let received = answer.received.as_ref()?;
        let person = row
            .person
            .map(|person| self.site.settings.people[person].account_id.as_str());
        let (credential, user) = match verdict.inject.as_deref() {
            Some("bearer") => (Some("Bearer"), person),
            Some("git") => (Some("Basic"), person),
            Some("identity") => (None, person),
            _ => (None, None),
        };
        let got = (received.0.as_deref(), received.1.as_deref());
        (got != (credential, user)).then(|| format!("{got:?} arrived for {credential:?}, {user:?}"))
    }

    /// What is logged names the rule. The core is asked for it, too.
    fn compare_events(&self, events: &[(String, Option<String>, Option<String>)]) {
        let label = |rule: usize| {
            let name = self.config["rules"][rule]["name"].as_str();
            name.unwrap().to_owned()
        };
        let mut events = events.iter();
        for (row, verdict) in self.rows.iter().zip(&self.verdicts) {
            let shown = || format!("{row:?}\n{verdict:?}{}", self.shown(verdict));
            for (rule, reasons) in &verdict.trials {
                let (event, named, reason) = events.next().unwrap();
                assert_eq!(event, "shadowed", "{}", shown());
                assert_eq!(named.as_ref(), Some(&label(*rule)), "{}", shown());
                let fits = match reason {
                    None => reasons.is_empty(),
                    Some(reason) => reasons.contains(reason),
                };
                assert!(fits, "{reason:?}: {}", shown());
            }
            if verdict.verdict == "allow" {
                continue;
            }
            let (event, named, reason) = events.next().unwrap();
            assert!(
                event == "refused" || event == "login_started",
                "{event}: {}",
                shown()
            );
            let is_named = reason
                .as_ref()
                .is_some_and(|reason| verdict.reasons.contains(reason));
            assert!(is_named, "{reason:?}: {}", shown());
            // Who has to sign in is not told by which rule.
            if verdict.verdict != "sign_in" {
                assert_eq!(*named, verdict.rule.map(label), "{}", shown());
            }
        }
        assert!(events.next().is_none(), "more was logged");
        self.compare_rules();
    }

    /// The rule that decides, of those that let something through as well.
    fn compare_rules(&self) {
        let config = Config::parse(self.config.to_string().as_bytes(), &environment).unwrap();
        for (row, verdict) in self.rows.iter().zip(&self.verdicts) {
            let Ok(target) = RequestTarget::parse(row.path.as_bytes()) else {
                assert_eq!(verdict.rule, None, "{row:?}");
                continue;
            };
            let mut start = 0;
            let rule = loop {
                match config.policy.find_from(start, row.method, &target) {
                    Found::Rule(place, rule) if rule.shadow == Shadow::Logs => start = place + 1,
                    Found::Rule(place, _) => break Some(place),
                    Found::Ambiguous(_) | Found::Nothing => break None,
                }
            };
            assert_eq!(rule, verdict.rule, "{row:?}");
        }
    }
}

/// Takes out the rules that no request can reach, which the configuration refuses.
fn without_unreachable(config: &mut Value) {
    while let Err(problems) = Config::parse(config.to_string().as_bytes(), &environment) {
        let mut places: Vec<usize> = Vec::new();
        for problem in problems {
            assert!(
                problem.message.contains("some request can reach"),
                "{problem}"
            );
            let place = problem.path.strip_prefix("rules[").unwrap();
            places.push(place.split(']').next().unwrap().parse().unwrap());
        }
        let rules = config["rules"].as_array_mut().unwrap();
        places.sort_unstable();
        for place in places.into_iter().rev() {
            rules.remove(place);
        }
    }
}
