//! The table, and what is compared.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bitgate::config::Config;
use bitgate::http::RequestTarget;
use bitgate::policy::{Found, Shadow};
use serde_json::{Value, json};

use crate::draw::Draw;
use crate::edge::{Answer, Arrived, Decider, Logged};
use crate::plan::{self, Plan};
use crate::reference::{self, Verdict};
use crate::rows::{Row, Sender, row, sender};
use crate::rules::Rules;
use crate::site::{SCOPES, Site};
use crate::support::example::Example;
use crate::support::native_edge::environment;
use crate::support::world::Kind;

/// A world, its requests, and what must come of them.
pub struct Table {
    pub site: Site,
    pub config: Value,
    rows: Vec<Row>,
    verdicts: Vec<Verdict>,
    through_envoy: usize,
}

static PINNED: LazyLock<Table> = LazyLock::new(|| Table::new(&plan::PINNED));
static WITH_BOT: LazyLock<Table> = LazyLock::new(|| Table::new(&plan::WITH_BOT));
static PROGRAMS: LazyLock<Table> = LazyLock::new(|| Table::new(&plan::PROGRAMS));
static PROGRAMS_WITH_BOT: LazyLock<Table> = LazyLock::new(|| Table::new(&plan::PROGRAMS_WITH_BOT));

impl Table {
    /// People and steps in several workspaces, with rules for git.
    pub fn programs() -> &'static Self {
        &PROGRAMS
    }

    /// The same in one workspace, where a bot asks what a repository is called.
    pub fn programs_with_bot() -> &'static Self {
        &PROGRAMS_WITH_BOT
    }

    /// A thousand people in seven workspaces.
    pub fn pinned() -> &'static Self {
        &PINNED
    }

    /// Three hundred people in one.
    pub fn with_bot() -> &'static Self {
        &WITH_BOT
    }

    fn new(plan: &Plan) -> Self {
        let mut draw = Draw::new(5);
        let site = Site::new(plan.form, plan.people, plan.programs, &mut draw);
        let mut config = Example::read("demo.yaml").plugin();
        site.configure(&mut config);
        config["rules"] = Rules::new(&site, &mut draw).sets(plan.sets).into();
        without_refused(&mut config);
        let rules = config["rules"].as_array().unwrap();
        let mut rows = Vec::new();
        let has_programs = plan.programs != 0;
        for place in 0..plan.rows {
            // Some rows of programs are for Envoy, so they come in no order.
            let number = match has_programs {
                true => draw.below(plan.people + plan.programs),
                false => place * plan.people / plan.rows,
            };
            let sender = sender(&site, number, &mut draw);
            rows.push(row(rules, &site, sender, &mut draw));
        }
        let (exported, workspaces) = site.export();
        let requests: Vec<Value> = rows.iter().map(|row| row.to_json(&site)).collect();
        let document = json!({
            "config": config, "people": exported, "workspaces": workspaces, "programs": site.export_programs(), "scopes": SCOPES, "requests": requests,
        });
        let verdicts = reference::ask(plan.name, &document);
        let table = Self {
            site,
            config,
            rows,
            verdicts,
            through_envoy: plan.through_envoy,
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
        let has_programs = !self.site.programs.is_empty();
        for (verdict, percent) in [
            ("allow", if has_programs { 10 } else { 20 }),
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
        if has_programs {
            self.is_about_programs();
        }
    }

    /// Rules with `git` decide, and programs are let in, in both forms of their tokens.
    fn is_about_programs(&self) {
        let decided = self.rows.iter().zip(&self.verdicts);
        let by_git = |verdict: &Verdict| {
            verdict
                .rule
                .is_some_and(|rule| !self.config["rules"][rule]["match"]["git"].is_null())
        };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (row, verdict) in decided {
            let who = match row.sender.program {
                Some((program, how)) => format!("{} {how:?}", self.site.programs[program].kind()),
                None => "person".to_owned(),
            };
            let what = if by_git(verdict) { "git" } else { "other" };
            *counts
                .entry(format!("{who} {what} {}", verdict.verdict))
                .or_default() += 1;
        }
        println!("{counts:?}");
        for (name, percent) in [
            ("person git allow", 1),
            ("person git deny", 2),
            ("pipeline Bearer git allow", 1),
            ("pipeline Bearer git deny", 2),
            ("pipeline Password git allow", 1),
            ("pipeline Password git deny", 2),
            ("pipeline Bearer other allow", 1),
        ] {
            let count = counts.get(name).copied().unwrap_or_default();
            assert!(count * 100 >= self.rows.len() * percent, "{name}: {count}");
        }
    }

    /// Asks an edge about each row, and compares.
    pub fn check(&self, kind: Kind) {
        let mut decider = Decider::new(kind, self);
        let mut wrong = Vec::new();
        let count = match kind {
            Kind::Native => self.rows.len(),
            Kind::Envoy => self.through_envoy,
        };
        for (row, verdict) in self.rows.iter().zip(&self.verdicts).take(count) {
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
            count,
            first.join("\n")
        );
        self.compare_events(count, &decider.events());
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
        let expected = self.expected(row.sender, verdict);
        (*received != expected).then(|| format!("{received:?} arrived for {expected:?}"))
    }

    /// What the upstream has to learn.
    fn expected(&self, sender: Sender, verdict: &Verdict) -> Arrived {
        let Sender { person, program } = sender;
        let person = person.filter(|_| program.is_none());
        let account = person.map(|person| self.site.settings.people[person].account_id.clone());
        let kind = match program {
            Some((program, _)) => self.site.programs[program].kind(),
            None => "person",
        };
        let credential = match verdict.inject.as_deref() {
            Some("bearer") => Some("Bearer"),
            Some("git") => Some("Basic"),
            Some("bot_bearer") => Some("Bearer+bot"),
            Some("bot_git") => Some("Basic+bot"),
            Some(_) => None,
            // Nobody is asked, so it is left alone.
            None => program.map(|_| "brought"),
        };
        let is_told = !matches!(verdict.inject.as_deref(), None | Some("none"));
        Arrived {
            credential: credential.map(str::to_owned),
            user: account.filter(|_| is_told),
            principal: is_told.then(|| kind.to_owned()),
        }
    }

    /// What is logged names the rule. The core is asked for it, too.
    fn compare_events(&self, count: usize, events: &[Logged]) {
        let label = |rule: usize| {
            let name = self.config["rules"][rule]["name"].as_str();
            name.unwrap().to_owned()
        };
        let mut events = events.iter();
        for (row, verdict) in self.rows.iter().zip(&self.verdicts).take(count) {
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

/// Takes out the rules that no request can reach, which the configuration refuses. A rule for pipelines alone has no
/// token of a person to pass on.
fn without_refused(config: &mut Value) {
    while let Err(problems) = Config::parse(config.to_string().as_bytes(), &environment) {
        let rules = config["rules"].as_array_mut().unwrap();
        let mut unreachable: Vec<usize> = Vec::new();
        for problem in problems {
            let place = problem.path.strip_prefix("rules[");
            let place = place.unwrap_or_else(|| panic!("{problem}"));
            let place: usize = place.split(']').next().unwrap().parse().unwrap();
            if problem.path.ends_with(".inject") {
                rules[place]["inject"] = json!("identity");
                continue;
            }
            assert!(
                problem.message.contains("some request can reach"),
                "{problem}: {}",
                rules[place]
            );
            unreachable.push(place);
        }
        unreachable.sort_unstable();
        for place in unreachable.into_iter().rev() {
            rules.remove(place);
        }
    }
}
