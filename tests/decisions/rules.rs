//! Rule sets by chance. Each has a folder of its own, so that all of them are one configuration.

use serde_json::{Value, json};

use crate::draw::Draw;
use crate::git;
use crate::programs::{self, ENVIRONMENTS, IDP, PATTERNS, SUBJECTS, environment_uuid};
use crate::site::{Form, GROUPS, NAMED, PROJECTS, SCOPES, Site, uuid};

/// Templates below a folder, and whether they can have `tail: raw`.
const TEMPLATES: [&str; 18] = [
    "/",
    "/plain",
    "/plain/**",
    "/a/b/c",
    "/{workspace}",
    "/w-{workspace}/x",
    "/{workspace}/{repo}",
    "/{workspace}/{repo}/**",
    "/git/{workspace}/{repo}.git/**",
    "/{workspace}/r-{repo}.tar/{key}",
    "/project/{workspace}/{key}",
    "/project/{workspace}/{key}/**",
    "/{repo}/of/{workspace}/**",
    "/~base/{workspace}%20/**",
    "/pkg/**",
    "/pkg/{workspace}/**",
    "/{any}/**",
    "/**",
];

const METHODS: [&[&str]; 5] = [
    &["GET", "HEAD"],
    &["POST"],
    &["PUT", "PATCH", "DELETE"],
    &["OPTIONS", "PROPFIND"],
    &["GET", "PUT"],
];

/// One generated rule.
pub struct Rules<'s> {
    site: &'s Site,
    draw: &'s mut Draw,
}

impl<'s> Rules<'s> {
    pub fn new(site: &'s Site, draw: &'s mut Draw) -> Self {
        Self { site, draw }
    }

    /// Rules for the folder `/s0`, `/s1` and so on, in order. The last set has no
    /// folder, unless there is git: its rules would match most of what other rules leave.
    pub fn sets(&mut self, count: usize) -> Vec<Value> {
        let home = json!({"name": "home", "match": {"path": "/"}, "allow": "signed_in"});
        let mut rules = vec![home];
        for set in 0..count {
            let folder = match set + 1 == count && !self.has_programs() {
                true => String::new(),
                false => format!("/s{set}"),
            };
            for _ in 0..4 + self.draw.below(8) {
                let number = rules.len();
                if let Some(rule) = self.rule(&folder, number) {
                    rules.push(rule);
                }
            }
        }
        rules
    }

    fn rule(&mut self, folder: &str, number: usize) -> Option<Value> {
        let is_of_git = self.has_programs() && self.draw.is_one_of_100(45);
        let templates: &[&'static str] = if is_of_git {
            &git::TEMPLATES
        } else {
            &TEMPLATES
        };
        let first = self.draw.one(templates);
        let mut paths = vec![first];
        if self.draw.is_one_of_100(25) {
            let other = self.draw.one(templates);
            if other != first {
                paths.push(other);
            }
        }
        let names = captures(&paths);
        let is_open = paths.iter().all(|path| path.ends_with("/**"));
        let paths: Vec<String> = paths.iter().map(|path| format!("{folder}{path}")).collect();
        let mut rule = json!({"name": format!("rule {number}"), "match": {"paths": paths}});
        if let [path] = paths.as_slice() {
            rule["match"] = json!({"path": path});
        }
        if is_of_git {
            rule["match"]["git"] = git::words(self.draw);
        } else if self.draw.is_one_of_100(40) {
            rule["match"]["methods"] = json!(METHODS[self.draw.below(METHODS.len())]);
        }
        if is_open && self.draw.is_one_of_100(30) {
            rule["match"]["tail"] = json!("raw");
        }
        let whole_site = folder.is_empty()
            && paths
                .iter()
                .any(|path| path == "/**" || path == "/{any}/**");
        rule["allow"] = match self.draw.below(20) {
            // So that programs are let in as often as people.
            3..15 if self.has_programs() => {
                let mut program = self.atom_of_programs(&names);
                if self.draw.is_one_of_100(25) {
                    program = json!({"not": program});
                }
                json!({"any_of": [program, self.atom_of_people(&names)]})
            }
            0 if !whole_site => json!("public"),
            1 => json!("signed_in"),
            2 => json!("nobody"),
            _ => {
                let depth = 1 + self.draw.below(3);
                self.map(&names, depth)
            }
        };
        let is_public = rule["allow"] == "public";
        let inject = self.draw.one(&["bearer", "git", "identity", "none"]);
        if self.has_programs() && !is_public && self.draw.is_one_of_100(60) {
            rule["inject"] = self.bot();
        } else if !is_public || ["identity", "none"].contains(&inject) {
            rule["inject"] = json!(inject);
        }
        if self.draw.is_one_of_100(15) {
            rule["shadow"] = json!(true);
        }
        // It would leave nothing for others; one with a condition on everything below it is enough.
        let is_greedy =
            whole_site && rule["shadow"].is_null() && rule["match"]["methods"].is_null();
        (!is_greedy).then_some(rule)
    }

    fn has_programs(&self) -> bool {
        !self.site.programs.is_empty()
    }

    fn bot(&mut self) -> Value {
        let mut inject = json!({"bot": "deployer"});
        if self.draw.is_one_of_100(50) {
            inject["as"] = json!("git");
        }
        if self.draw.is_one_of_100(40) {
            inject["own_first"] = json!(true);
        }
        inject
    }

    /// A condition that can stand in `allow`.
    fn map(&mut self, names: &[&str], depth: usize) -> Value {
        loop {
            let condition = self.condition(names, depth);
            if condition.is_object() {
                return condition;
            }
        }
    }

    fn condition(&mut self, names: &[&str], depth: usize) -> Value {
        if depth > 1 {
            match self.draw.below(6) {
                0 | 1 => return json!({"all_of": self.conditions(names, depth)}),
                2 | 3 => return json!({"any_of": self.conditions(names, depth)}),
                4 => {
                    // Sometimes as deep as it may be, if it stands in two others.
                    let times = if self.draw.is_one_of_100(10) { 6 } else { 1 };
                    let inner = self.condition(names, depth - 1);
                    return (0..times).fold(inner, |inner, _| json!({"not": inner}));
                }
                _ => {}
            }
        }
        self.atom(names)
    }

    fn conditions(&mut self, names: &[&str], depth: usize) -> Vec<Value> {
        let count = 1 + self.draw.below(3);
        let mut conditions: Vec<Value> = Vec::new();
        for _ in 0..count {
            conditions.push(self.condition(names, depth - 1));
        }
        conditions
    }

    fn atom(&mut self, names: &[&str]) -> Value {
        if self.has_programs() && self.draw.is_one_of_100(50) {
            return self.atom_of_programs(names);
        }
        self.atom_of_people(names)
    }

    fn atom_of_people(&mut self, names: &[&str]) -> Value {
        match self.draw.below(24) {
            0 => json!("signed_in"),
            1 => json!("nobody"),
            2 => {
                let people = &self.site.settings.people;
                let some =
                    (0..40).map(|_| people[self.draw.below(people.len())].account_id.clone());
                json!({"account": some.collect::<Vec<_>>()})
            }
            3..6 => {
                json!({"email_domain": self.some(&["example.com", "example.net", "sub.example.com", "evil.test"])})
            }
            6..9 => {
                let held = SCOPES[self.draw.below(SCOPES.len())];
                let scope = match self.draw.below(3) {
                    0 => self.some(&["email", "team", "pipeline:write", "issue", "snippet"]),
                    1 => self.some(held),
                    _ => self.some(&["repository", "repository:write", "pullrequest"]),
                };
                json!({"scope": scope})
            }
            9..11 => json!({"group": self.draw.one(&GROUPS)}),
            11 => json!({"principal": self.draw.one(&["person", "person", "bot", "bot"])}),
            12..16 => {
                let mut condition = json!({"workspace": self.workspace(names)});
                if self.draw.is_one_of_100(50) {
                    condition["role"] = json!(self.draw.one(&["member", "owner"]));
                }
                condition
            }
            16..21 => {
                let workspace = self.workspace(names);
                let repository = match self.draw.below(4) {
                    _ if names.contains(&"repo") && self.draw.is_one_of_100(80) => {
                        "{repo}".to_owned()
                    }
                    0 => uuid(0x30, self.draw.below(3) * 16 + self.draw.below(6)),
                    _ => self
                        .draw
                        .one(&[
                            "widgets", "gad.gets", "secrets", "legacy", "renamed", "none",
                        ])
                        .to_owned(),
                };
                self.permission(json!({"repository": format!("{workspace}/{repository}")}))
            }
            _ => {
                let workspace = self.workspace(names);
                let key = match names.contains(&"key") && self.draw.is_one_of_100(80) {
                    true => "{key}",
                    false => self
                        .draw
                        .one(&[PROJECTS[0], PROJECTS[1], PROJECTS[2], "NONE"]),
                };
                self.permission(json!({"project": format!("{workspace}/{key}")}))
            }
        }
    }

    /// What only programs can be.
    fn atom_of_programs(&mut self, names: &[&str]) -> Value {
        match self.draw.below(8) {
            0 => return json!({"principal": self.draw.one(&["pipeline", "pipeline", "bot"])}),
            1 => {
                let mut condition = json!({"issuer": IDP});
                if self.draw.is_one_of_100(60) {
                    condition["subject"] = self.some(&SUBJECTS);
                }
                return condition;
            }
            _ => {}
        }
        let mut pipeline = json!({});
        // The workspace, the repository, or both.
        let parts = [0, 1, 1, 1, 2][self.draw.below(5)];
        if parts != 0 {
            let is_open = names.contains(&"workspace") && self.draw.is_one_of_100(75);
            pipeline["workspace"] = match is_open {
                true => json!("{workspace}"),
                false => json!(programs::workspace(self.site.form, self.draw)),
            };
        }
        if parts != 1 {
            // Without a workspace a name could be one of several. What a path names needs a bot.
            let has_bot = self.site.form == Form::WithBot;
            let is_clear = parts != 0 || has_bot;
            pipeline["repository"] = match self.draw.below(5) {
                0..3 if has_bot && names.contains(&"repo") => json!("{repo}"),
                0..4 if is_clear => {
                    json!(self.literal_repository())
                }
                _ => json!(uuid(0x30, self.draw.below(2) * 16 + self.draw.below(4))),
            };
        }
        if self.draw.is_one_of_100(30) {
            pipeline["branch"] = self.some(&PATTERNS);
        }
        if self.draw.is_one_of_100(20) {
            let mut uuids = (0..ENVIRONMENTS.len())
                .map(environment_uuid)
                .collect::<Vec<_>>();
            uuids[0] = uuids[0].to_uppercase();
            let uuids: Vec<&str> = uuids.iter().map(String::as_str).collect();
            pipeline["deployment_environment"] = self.some(&uuids);
        }
        json!({"pipeline": pipeline})
    }

    /// The name of a repository. Without a bot only `repositories` says whose it is.
    fn literal_repository(&mut self) -> &'static str {
        match self.site.form {
            Form::Pinned => self.draw.one(&["widgets", "legacy", "renamed"]),
            Form::WithBot => self
                .draw
                .one(&["widgets", "gad.gets", "legacy-now", "none"]),
        }
    }

    fn permission(&mut self, mut condition: Value) -> Value {
        let permission = self
            .draw
            .one(&["", "read", "write", "admin", "by_method", "by_method"]);
        if !permission.is_empty() {
            condition["permission"] = json!(permission);
        }
        condition
    }

    fn workspace(&mut self, names: &[&str]) -> String {
        if names.contains(&"workspace") && self.draw.is_one_of_100(75) {
            return "{workspace}".to_owned();
        }
        let is_one = self.site.form == Form::WithBot;
        let number = if is_one {
            0
        } else {
            self.draw.below(NAMED.len())
        };
        match self.draw.below(5) {
            0 => uuid(0x10, number).to_uppercase(),
            1 => uuid(0x10, number),
            _ => NAMED[number].0.to_owned(),
        }
    }

    /// One of them, or a list of one or two.
    fn some(&mut self, all: &[&str]) -> Value {
        let (one, other) = (self.draw.one(all), self.draw.one(all));
        match self.draw.below(3) {
            0 => json!(one),
            1 => json!([one]),
            _ => json!([one, other]),
        }
    }
}

/// The captures that all templates have.
fn captures(paths: &[&str]) -> Vec<&'static str> {
    let all = ["workspace", "repo", "key"];
    let has = |name: &&str| {
        paths
            .iter()
            .all(|path| path.contains(&format!("{{{name}}}")))
    };
    all.into_iter().filter(has).collect()
}
