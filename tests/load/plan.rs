//! What a simulated day is like, and how Bitgate is configured for it.

use bitgate_simulator::bitbucket::Settings;
use serde_json::{Value, json};

use crate::crowd::{self, ACME, HOUR, MINUTE};
use crate::support::example::Example;

/// The token of the bot, as the simulator has it.
const BOT: &str = "ATCTT3xFfGN0-demo-workspace-token";

/// How the workspace of a rule is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// By the path: `/artifacts/{workspace}/{repo}/**`.
    Captured,
    /// By the path, and its UUID is in the configuration.
    CapturedAndPinned,
    /// By the rule: `/artifacts/acme/{repo}/**`, and its UUID is in the configuration.
    Literal,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// 12 hours, and one without use: everybody signs in on every morning.
    Daily,
    /// 30 days: of 30 people one signs in.
    Monthly,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub name: &'static str,
    pub people: u64,
    /// Calls to the API that Bitbucket allows the consumer in an hour.
    pub limit: u64,
    pub sessions: Sessions,
    pub naming: Naming,
    /// Whether the site asks for e-mail addresses at sign-in.
    pub has_email: bool,
    /// Whether some pages are for all members of the workspace.
    pub has_member_pages: bool,
    pub max_age: &'static str,
    pub grace: &'static str,
    /// The budget of the bot that looks rights up, if there is one.
    pub bot: Option<u64>,
    /// Whether people worked the day before, so that answers from then are there.
    pub worked_yesterday: bool,
    /// The mean pause between two pages.
    pub pause: u64,
    /// Requests of a page, with the page.
    pub requests: u64,
    /// How many people are removed from the workspace during the day.
    pub removed: u64,
    /// From when on Bitbucket is down, and until when.
    pub outage: Option<(u64, u64)>,
}

impl Plan {
    /// With all defaults of Bitgate.
    pub fn of_defaults(name: &'static str, people: u64) -> Self {
        Self {
            name,
            people,
            limit: 1_000,
            sessions: Sessions::Daily,
            naming: Naming::Captured,
            has_email: true,
            has_member_pages: false,
            max_age: "5m",
            grace: "1h",
            bot: None,
            worked_yesterday: false,
            pause: 10 * MINUTE,
            requests: 3,
            removed: 50,
            outage: None,
        }
    }

    pub fn max_age_seconds(&self) -> u64 {
        seconds(self.max_age)
    }

    pub fn grace_seconds(&self) -> u64 {
        seconds(self.grace)
    }

    pub fn config(&self) -> String {
        let mut config = Example::read("demo.yaml").plugin();
        let mut scopes = vec!["account", "repository"];
        if self.has_email {
            scopes.push("email");
        }
        config["bitbucket"]["scopes"] = json!(scopes);
        config["bitbucket"]["api_budget"] = self.limit.into();
        let session = &mut config["session"];
        (session["max_age"], session["idle_timeout"]) = match self.sessions {
            Sessions::Daily => ("12h".into(), "1h".into()),
            Sessions::Monthly => ("30d".into(), "30d".into()),
        };
        config["rights"] = json!({"max_age": self.max_age, "grace": self.grace});
        if let Some(budget) = self.bot {
            let bot = json!({"access_token": {"inline": BOT}, "api_budget": budget});
            config["bots"] = json!({"reader": bot});
            config["rights"]["bot"] = "reader".into();
        }
        if self.naming != Naming::Captured {
            config["workspaces"] = json!({"acme": ACME});
        }
        let (path, repository) = match self.naming {
            Naming::Captured | Naming::CapturedAndPinned => {
                ("/artifacts/{workspace}/{repo}/**", "{workspace}/{repo}")
            }
            Naming::Literal => ("/artifacts/acme/{repo}/**", "acme/{repo}"),
        };
        let artifacts = json!({
            "match": {"path": path},
            "allow": {"repository": repository, "permission": "by_method"},
        });
        let members = json!({"match": {"path": "/members/**"}, "allow": {"workspace": "acme"}});
        let mut rules = vec![artifacts];
        rules.extend(self.has_member_pages.then_some(members));
        config["rules"] = rules.into();
        config.to_string()
    }

    pub fn settings(&self) -> Settings {
        let mut settings = Settings {
            api_limit: Some(self.limit),
            token_length: Some(60),
            ..Settings::default()
        };
        let scopes = &mut settings.consumers[0].scopes;
        scopes.retain(|scope| self.has_email || scope != "email");
        settings.access_tokens[0].api_limit = self.bot;
        crowd::settle(&mut settings.directory, self.people);
        settings.people.extend(crowd::people(self.people));
        settings
    }

    /// The plan with what the environment says, such as `{"people": 2000, "grace": "8h"}`.
    pub fn changed_by(mut self, changes: &Value) -> Self {
        let text = |name: &str| -> Option<&'static str> {
            let text = changes[name].as_str()?;
            Some(Box::leak(text.to_owned().into_boxed_str()))
        };
        let number = |name: &str| changes[name].as_u64();
        let flag = |name: &str| changes[name].as_bool();
        self.people = number("people").unwrap_or(self.people);
        self.limit = number("limit").unwrap_or(self.limit);
        self.max_age = text("max_age").unwrap_or(self.max_age);
        self.grace = text("grace").unwrap_or(self.grace);
        self.bot = number("bot").or(self.bot);
        self.requests = number("requests").unwrap_or(self.requests);
        self.removed = number("removed").unwrap_or(self.removed);
        self.pause = number("pause_minutes").map_or(self.pause, |minutes| minutes * MINUTE);
        self.has_email = flag("email").unwrap_or(self.has_email);
        self.has_member_pages = flag("member_pages").unwrap_or(self.has_member_pages);
        self.worked_yesterday = flag("worked_yesterday").unwrap_or(self.worked_yesterday);
        self.sessions = match text("sessions") {
            Some("daily") => Sessions::Daily,
            Some("monthly") => Sessions::Monthly,
            _ => self.sessions,
        };
        self.naming = match text("naming") {
            Some("captured") => Naming::Captured,
            Some("pinned") => Naming::CapturedAndPinned,
            Some("literal") => Naming::Literal,
            _ => self.naming,
        };
        if let Some(minutes) = number("outage_minutes") {
            self.outage = Some((12 * HOUR, 12 * HOUR + minutes * MINUTE));
        }
        self
    }
}

/// `5m` or `1h` in seconds.
fn seconds(text: &str) -> u64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().unwrap();
    number
        * match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            other => panic!("{other} is no unit"),
        }
}

impl Plan {
    /// The questions that decide about a page of a repository, or about one for all members. Of those
    /// in one list the first that has an answer decides.
    pub fn questions(&self, account_id: &str, is_repository: bool) -> Vec<Vec<String>> {
        let repositories = format!("repositories\n{account_id}\n{ACME}\n");
        let workspaces = format!("workspaces\n{account_id}\n*\n");
        let directory = format!("directory\n\n{ACME}\n");
        let role = format!("role\n{account_id}\n{ACME}\n");
        match (is_repository, self.naming) {
            (true, Naming::Captured) => vec![vec![repositories], vec![workspaces]],
            (true, Naming::CapturedAndPinned | Naming::Literal) => vec![vec![repositories]],
            (false, _) => vec![vec![directory, role]],
        }
    }
}
