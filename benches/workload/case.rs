//! What is measured, by name.

use bitgate::gate::Step;

use super::bitbucket::STEP_TOKEN;
use super::request::{Fields, fetch};
use super::rules::{self, PIPELINE, PUBLIC, RIGHTS, SIGNED_IN};
use super::site::Site;

/// Short tokens of consumers that Bitbucket did not migrate, and those of migrated ones.
pub const SMALL: usize = 100;
pub const LARGE: usize = 2_600;

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    temperature: Temperature,
    outcome: Outcome,
    token_bytes: usize,
    rules: usize,
    fields: fn(&str) -> Fields,
}

/// What the worker knows of the request's session or token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Temperature {
    /// It has seen it before.
    Warm,
    /// It has never seen it.
    Cold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Forwarded,
    Refused,
}

const WARM: Case = Case {
    name: "warm_small",
    temperature: Temperature::Warm,
    outcome: Outcome::Forwarded,
    token_bytes: SMALL,
    rules: 20,
    fields: |cookies| fetch(SIGNED_IN, &[("cookie", cookies)]),
};

impl Case {
    /// All of them. Where nothing else is said, a site has 20 rules, and the tokens are small.
    pub const ALL: [Self; 12] = [
        WARM,
        Self {
            name: "warm_large",
            token_bytes: LARGE,
            ..WARM
        },
        Self {
            name: "warm_1_rule",
            rules: 1,
            ..WARM
        },
        Self {
            name: "warm_500_rules",
            rules: 500,
            ..WARM
        },
        Self {
            name: "warm_rights",
            fields: |cookies| fetch(RIGHTS, &[("cookie", cookies)]),
            ..WARM
        },
        Self {
            name: "cold_small",
            temperature: Temperature::Cold,
            ..WARM
        },
        Self {
            name: "cold_large",
            temperature: Temperature::Cold,
            token_bytes: LARGE,
            ..WARM
        },
        Self {
            name: "pipelines_warm",
            fields: |_| of_step(),
            ..WARM
        },
        Self {
            name: "pipelines_cold",
            temperature: Temperature::Cold,
            fields: |_| of_step(),
            ..WARM
        },
        Self {
            name: "public",
            fields: |cookies| fetch(PUBLIC, &[("cookie", cookies)]),
            ..WARM
        },
        Self {
            name: "refused",
            outcome: Outcome::Refused,
            fields: |_| fetch(SIGNED_IN, &[("cookie", "theme=dark")]),
            ..WARM
        },
        Self {
            name: "hostile_cookies",
            outcome: Outcome::Refused,
            fields: |_| fetch(SIGNED_IN, &[("cookie", &hostile_cookies())]),
            ..WARM
        },
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name == name)
    }

    pub fn is_cold(self) -> bool {
        self.temperature == Temperature::Cold
    }

    /// A site that is ready for the request, and the request.
    pub fn prepare(self) -> (Site, Fields) {
        let mut site = Site::new(&rules::config(self.rules), self.token_bytes);
        site.tick();
        let fields = (self.fields)(&site.sign_in());
        // Keys and rights are fetched by it, also where it is cold.
        self.check(&site.settle(fields.clone()));
        self.check(&site.another().judge(fields.clone()));
        self.check(&site.judge(fields.clone()));
        (site, fields)
    }

    fn check(self, step: &Step) {
        let as_expected = match self.outcome {
            Outcome::Forwarded => matches!(step, Step::Forward(_)),
            Outcome::Refused => {
                matches!(step, Step::Respond(response, _) if response.status == 401)
            }
        };
        assert!(
            as_expected,
            "{}: {:?}, but found {step:?}",
            self.name, self.outcome
        );
    }
}

fn of_step() -> Fields {
    fetch(
        PIPELINE,
        &[("authorization", &format!("Bearer {STEP_TOKEN}"))],
    )
}

/// 8 KB of hundreds of cookies, many with our names: none opens.
pub fn hostile_cookies() -> String {
    let one = |number: usize| match number % 4 {
        0 => format!("__Host-bitgate-grant.{number}=1.demo.AAAAAAAA"),
        1 => format!("__Host-bitgate-login.{number}=1.demo.A"),
        2 => format!("__Host-bitgate-grant=5.{number}"),
        _ => format!("a{number}"),
    };
    let cookies: Vec<String> = (0..400).map(one).collect();
    format!(
        "__Host-bitgate=e30.e30.e30.e30.{}; {}",
        "A".repeat(200),
        cookies.join("; ")
    )
}
