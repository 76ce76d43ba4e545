//! A gate with a host and with Bitbucket around it.

use std::collections::BTreeMap;
use std::rc::Rc;

use bitgate::config::Config;
use bitgate::gate::{Gate, Job, Progress, Step};
use bitgate::host::{Host, NativeSignatures};
use bitgate::http::{Headers, Request};
use serde_json::Value;

use super::bitbucket;
use super::host::{Memory, NOW, Seeded};
use super::request::{Fields, navigation};
use super::rules;

pub struct Site {
    config: String,
    gate: Rc<Gate>,
    random: Seeded,
    shared: Memory,
    token_bytes: usize,
}

impl Site {
    /// Bitbucket's tokens have `token_bytes`.
    pub fn new(config: &Value, token_bytes: usize) -> Self {
        let config = config.to_string();
        Self {
            gate: gate(&config),
            config,
            random: Seeded::default(),
            shared: Memory::default(),
            token_bytes,
        }
    }

    /// Another worker of the same Envoy, which remembers nothing itself.
    pub fn another(&self) -> Self {
        let mut other = Self {
            config: self.config.clone(),
            gate: gate(&self.config),
            random: self.random.clone(),
            shared: self.shared.clone(),
            token_bytes: self.token_bytes,
        };
        other.tick();
        other
    }

    fn with_host<T>(&mut self, run: impl FnOnce(&Rc<Gate>, &mut Host<'_>) -> T) -> T {
        let mut host = Host {
            now: NOW,
            random: &mut self.random,
            shared: &mut self.shared,
            signatures: &NativeSignatures,
        };
        run(&self.gate, &mut host)
    }

    /// One judgement, whatever comes of it: what is measured.
    pub fn judge(&mut self, fields: Fields) -> Step {
        let received = Request::read(Headers::deserialize(fields).unwrap());
        self.with_host(|gate, host| gate.on_request(received, host))
    }

    /// The judgement when nothing has to be asked any more.
    pub fn settle(&mut self, fields: Fields) -> Step {
        let mut step = self.judge(fields);
        loop {
            step = match step {
                Step::Call(call, pending) => {
                    let reply = bitbucket::answer(&call, self.token_bytes);
                    self.with_host(|_, host| pending.resume(reply, host))
                }
                Step::Wait(Some(job), waiting) => {
                    self.finish(job);
                    self.with_host(|_, host| waiting.resume(host))
                }
                Step::Noted(_, step) => *step,
                step @ (Step::Forward(_) | Step::Respond(..) | Step::Wait(None, _)) => return step,
            };
        }
    }

    fn finish(&mut self, mut job: Job) {
        loop {
            let reply = bitbucket::answer(job.call(), self.token_bytes);
            match self.with_host(|_, host| job.resume(reply, host)) {
                Progress::Again(next) => job = next,
                Progress::Done(_) => return,
            }
        }
    }

    /// What the clock brings: keys, tokens of bots.
    pub fn tick(&mut self) {
        for job in self.with_host(|gate, host| gate.on_tick(host)) {
            self.finish(job);
        }
    }

    /// Somebody signs in: the `Cookie` field of what follows.
    pub fn sign_in(&mut self) -> String {
        let mut jar = BTreeMap::new();
        let location = self.open(rules::SIGNED_IN, &mut jar);
        let state = location.split("state=").nth(1).unwrap();
        let state = state.split('&').next().unwrap();
        self.open(
            &format!("/_bitgate/callback?code=c&state={state}"),
            &mut jar,
        );
        // Their number would weigh on every case.
        jar.retain(|name, _| !name.contains("returns"));
        cookie(&jar)
    }

    /// Opens a page that redirects: where to.
    fn open(&mut self, path: &str, jar: &mut BTreeMap<String, String>) -> String {
        let step = self.settle(navigation(path, &cookie(jar)));
        let Step::Respond(response, event) = step else {
            panic!("expected a redirect, but found {step:?}");
        };
        assert_eq!(response.status, 302, "{event}");
        let mut location = String::new();
        for (name, value) in &response.headers {
            match *name {
                "location" => location = value.as_str().to_owned(),
                "set-cookie" => {
                    let (name, rest) = value.as_str().split_once('=').unwrap();
                    let (value, attributes) = rest.split_once("; ").unwrap();
                    // None of what is measured is below another path.
                    let is_of_pages = attributes.contains("Path=/;");
                    match attributes.contains("Max-Age=0;") || !is_of_pages {
                        true => jar.remove(name),
                        false => jar.insert(name.to_owned(), value.to_owned()),
                    };
                }
                _ => {}
            }
        }
        location
    }
}

fn cookie(jar: &BTreeMap<String, String>) -> String {
    let pairs = jar.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("; ")
}

fn gate(config: &str) -> Rc<Gate> {
    const KEY: &str = "dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktMDE=";
    let environment = |name: &str| (name == "BITGATE_SESSION_KEY").then(|| KEY.to_owned());
    let config = Config::parse(config.as_bytes(), &environment).expect("a good configuration");
    Gate::new(config).unwrap()
}
