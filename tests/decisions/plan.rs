//! How large the tables are.

use crate::site::Form;

pub struct Plan {
    pub name: &'static str,
    pub form: Form,
    pub people: usize,
    /// Where there are none, no rule is about git or pipelines.
    pub programs: usize,
    /// Sets of rules.
    pub sets: usize,
    pub rows: usize,
    /// Of these, the ones that Envoy is asked about.
    pub through_envoy: usize,
}

pub const PINNED: Plan = Plan {
    name: "pinned",
    form: Form::Pinned,
    people: 1_000,
    programs: 0,
    sets: 60,
    rows: 8_000,
    through_envoy: 8_000,
};

pub const WITH_BOT: Plan = Plan {
    name: "bot",
    form: Form::WithBot,
    people: 300,
    programs: 0,
    sets: 30,
    rows: 2_400,
    through_envoy: 2_400,
};

pub const PROGRAMS: Plan = Plan {
    name: "programs",
    form: Form::Pinned,
    people: 40,
    programs: 48,
    sets: 60,
    rows: 5_000,
    through_envoy: 800,
};

pub const PROGRAMS_WITH_BOT: Plan = Plan {
    name: "programs-bot",
    form: Form::WithBot,
    people: 30,
    programs: 32,
    sets: 40,
    rows: 3_000,
    through_envoy: 500,
};
