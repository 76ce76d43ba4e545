//! Reading a configuration as the module does, in the environment that it will have.

use std::cell::RefCell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bitgate::config::Config;

use crate::arguments::Unset;
use crate::finding::{Code, Findings, Level, joined};
use crate::plugin::{Passed, Plugin};

/// Reads the configuration, and says what is wrong with it.
pub(crate) fn read(plugin: &Plugin, unset: Unset, findings: &mut Findings) -> Option<Config> {
    let asked = RefCell::new(Vec::new());
    let environment = |name: &str| {
        let (value, source) = look_up(plugin, unset, name);
        asked.borrow_mut().push((name.to_owned(), source));
        value
    };
    let place = &plugin.place;
    let config = match Config::parse(&plugin.configuration.bytes, &environment) {
        Ok(config) => {
            for warning in &config.warnings {
                let message = warning.to_string();
                findings.say(Code::Configuration, Level::Warning, place, &message);
            }
            Some(config)
        }
        Err(problems) => {
            for problem in problems {
                let message = problem.to_string();
                findings.say(Code::Configuration, Level::Error, place, &message);
            }
            None
        }
    };
    let is_loopback = config
        .as_ref()
        .is_some_and(|config| config.public.is_loopback);
    for (name, source) in asked.into_inner() {
        let path = plugin.configuration.path_of_variable(&name);
        let path = path.unwrap_or_default();
        let mut say = |code: Code, level, message: &str| {
            findings.say(code, level, place, &joined(&path, message));
        };
        match source {
            Source::Here => {}
            Source::File if is_loopback => {}
            Source::File => say(
                Code::InlineSecret,
                Level::Warning,
                &format!(
                    "expected {name} from Envoy's environment, but found its value in the file: \
                     /config_dump shows it"
                ),
            ),
            Source::NotPassed => say(
                Code::EnvNotPassed,
                Level::Error,
                &format!(
                    "expected {name} among the variables that are passed on, but found others \
                     only: the module sees no other environment"
                ),
            ),
            Source::Nowhere => say(
                Code::EnvNotSet,
                Level::Warning,
                &format!("{name} is not set here, so its value was not checked"),
            ),
        }
    }
    config
}

/// Where the value of a variable comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The file.
    File,
    /// The environment of this command, if it has to be there.
    Here,
    /// No value reaches the module.
    NotPassed,
    /// Something stands in for a value that is not here.
    Nowhere,
}

fn look_up(plugin: &Plugin, unset: Unset, name: &str) -> (Option<String>, Source) {
    let is_passed = match &plugin.passed {
        Passed::Unknown => true,
        Passed::Only { host, inline } => {
            if let Some((_, value)) = inline.iter().find(|(key, _)| key == name) {
                return (Some(value.clone()), Source::File);
            }
            host.iter().any(|key| key == name)
        }
    };
    let value = std::env::var_os(name).and_then(|value| value.into_string().ok());
    let value = value.filter(|value| !value.is_empty());
    match (is_passed, value, unset) {
        (false, value, _) => (value.or_else(|| Some(stand_in(name))), Source::NotPassed),
        (true, Some(value), _) => (Some(value), Source::Here),
        (true, None, Unset::Problem) => (None, Source::Here),
        (true, None, Unset::StandIn) => (Some(stand_in(name)), Source::Nowhere),
    }
}

/// Fits wherever a secret is expected, session keys included; another one for each name.
fn stand_in(name: &str) -> String {
    STANDARD.encode(hmac_sha256::Hash::hash(name.as_bytes()))
}
