//! Who brings a signed token: steps of pipelines, and services of an identity provider.

use bitgate_simulator::bitbucket::{Bitbucket, Environment, SigningKey, Step};
use serde_json::{Value, json};

use crate::draw::Draw;
use crate::site::{Form, uuid};

/// An issuer whose tokens are no pipeline's.
pub const IDP: &str = "https://idp.example.com";

/// What its tokens have in `sub`. One looks like a person of the table.
pub const SUBJECTS: [&str; 3] = [
    "deploy-service",
    "Deploy-Service",
    "557058:00000001-ada0-4c0d-8e1f-b17b0c4e7000",
];

/// Workspaces with pipelines: the slug that Bitbucket has, and its number.
const WORKSPACES: [(&str, usize); 5] = [
    ("acme", 0),
    ("acme", 0),
    ("acme", 0),
    ("beta-labs", 1),
    ("moved-now", 4),
];

const REPOSITORIES: [&str; 6] = ["widgets", "widgets", "widgets", "gad.gets", "gad.gets", "x"];

/// Where a slug has moved, both have pipelines.
const MOVED: [&str; 3] = ["legacy", "legacy-now", "renamed-now"];

/// Without one a tag is built.
const BRANCHES: [Option<&str>; 8] = [
    None,
    Some("main"),
    Some("main"),
    Some("Main"),
    Some("release/1.2"),
    Some("release-1"),
    Some("feature/main"),
    Some("hotfix/a/b"),
];

pub const PATTERNS: [&str; 7] = [
    "main",
    "main",
    "release/*",
    "release*",
    "feature/main",
    "hot*",
    "none",
];

/// Environments that Bitbucket begins with, and those that somebody made.
pub const ENVIRONMENTS: [&str; 4] = ["production", "staging", "tenant 7", "no deployment"];

pub fn environment_uuid(place: usize) -> String {
    uuid(0xde, place)
}

#[derive(Debug)]
pub enum Program {
    Step(Step),
    /// With its `sub`.
    Service(&'static str),
}

impl Program {
    /// So many of them, where pipelines run in this form of the site.
    pub fn some(form: Form, count: usize, draw: &mut Draw) -> Vec<Self> {
        let one = |draw: &mut Draw| match draw.below(8) {
            0 => Self::Service(SUBJECTS[draw.below(SUBJECTS.len())]),
            _ => Self::Step(step(form, draw)),
        };
        (0..count).map(|_| one(draw)).collect()
    }

    /// The workspace and the repository of a step, by slug.
    pub fn home(&self) -> Option<(&str, &str)> {
        match self {
            Self::Step(step) => Some((&step.workspace, &step.repository)),
            Self::Service(_) => None,
        }
    }

    /// What its principal is called.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Step(_) => "pipeline",
            Self::Service(_) => "bot",
        }
    }

    pub fn claims(&self, now: u64, bitbucket: &mut Bitbucket) -> Value {
        match self {
            Self::Step(step) => bitbucket.step_claims(now, step).unwrap(),
            Self::Service(sub) => {
                json!({"iss": IDP, "aud": "bitgate", "sub": sub, "iat": now, "exp": now + 3_600})
            }
        }
    }

    pub fn token(&self, now: u64, bitbucket: &mut Bitbucket) -> String {
        let claims = self.claims(now, bitbucket);
        match self {
            Self::Step(_) => bitbucket.sign_as_pipelines(&claims),
            Self::Service(_) => {
                let key = SigningKey::foreign();
                key.sign(&key.header(), &claims)
            }
        }
    }
}

/// One of the workspaces with pipelines, as a rule may have it.
pub fn workspace(form: Form, draw: &mut Draw) -> String {
    let all = workspaces(form);
    let (slug, number) = all[draw.below(all.len())];
    match draw.below(4) {
        0 => uuid(0x10, number),
        1 => uuid(0x10, number).to_uppercase(),
        _ => slug.to_owned(),
    }
}

fn workspaces(form: Form) -> &'static [(&'static str, usize)] {
    match form {
        Form::Pinned => &WORKSPACES,
        Form::WithBot => &WORKSPACES[..1],
    }
}

fn step(form: Form, draw: &mut Draw) -> Step {
    let all = workspaces(form);
    let (workspace, number) = all[draw.below(all.len())];
    let repository = match number {
        0 if draw.is_one_of_100(20) => draw.one(&MOVED),
        _ => draw.one(&REPOSITORIES),
    };
    let mut step = Step::of(workspace, repository, "");
    step.branch = BRANCHES[draw.below(BRANCHES.len())].map(str::to_owned);
    let place = draw.below(2 * ENVIRONMENTS.len());
    if let Some(name) = ENVIRONMENTS[..3].get(place) {
        step.deployment_environment = Some(Environment {
            name: (*name).to_owned(),
            uuid: environment_uuid(place),
        });
    }
    step
}

/// Pipelines have run in all of their workspaces, so that the keys are there.
pub fn run_pipelines(form: Form, bitbucket: &mut Bitbucket) {
    for (slug, _) in workspaces(form) {
        bitbucket.set_pipelines_ran(slug, true).unwrap();
    }
}

/// `issuers` of the configuration.
pub fn issuers(form: Form) -> Value {
    let mut all = workspaces(form).to_vec();
    all.dedup();
    let presets = all.iter().map(|(slug, number)| {
        json!({"bitbucket_pipelines": {"workspace": slug, "workspace_uuid": uuid(0x10, *number)}})
    });
    let idp = json!({"issuer": IDP, "jwks": {"keys": [SigningKey::foreign().jwk()]}, "audiences": ["bitgate"]});
    presets.chain([idp]).collect()
}
