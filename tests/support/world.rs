//! One edge, one Bitbucket, one upstream, one clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use bitgate_simulator::bitbucket::{Bitbucket, Settings};
use bitgate_simulator::upstream::Upstream;

use super::browser::Browser;
use super::envoy_edge::EnvoyEdge;
use super::example::Example;
use super::invariants;
use super::native_edge::NativeEdge;
use super::setup::Setup;
use super::{Edge, Request, Response};

/// Which edge the stories of a binary run on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Envoy,
    Native,
}

/// The time of all parts. Natively it stands still; with Envoy it runs, and can be moved on.
#[derive(Clone)]
pub struct Clock {
    kind: Kind,
    offset: Arc<AtomicU64>,
}

impl Clock {
    pub fn now(&self) -> u64 {
        let base = match self.kind {
            Kind::Native => 1_800_000_000,
            Kind::Envoy => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        };
        base + self.offset()
    }

    pub fn advance(&self, seconds: u64) {
        self.offset.fetch_add(seconds, Ordering::SeqCst);
    }

    pub fn offset(&self) -> u64 {
        self.offset.load(Ordering::SeqCst)
    }
}

/// Everything that the edge talks to.
#[derive(Clone)]
pub struct Surroundings {
    pub bitbucket: Arc<Mutex<Bitbucket>>,
    pub upstream: Arc<Mutex<Upstream>>,
    pub clock: Clock,
}

pub struct World {
    pub edge: Box<dyn Edge>,
    pub around: Surroundings,
}

impl World {
    /// What a world is made of: the edge's configuration and all that is around it.
    pub fn parts(kind: Kind, setup: &Setup) -> (Example, Surroundings) {
        let mut settings = Settings::default();
        (setup.bitbucket)(&mut settings);
        let mut bitbucket = Bitbucket::new(settings);
        if setup.has_pipelines {
            // Some worlds have no such workspace.
            let _ = bitbucket.set_pipelines_ran("acme", true);
        }
        let around = Surroundings {
            bitbucket: Arc::new(Mutex::new(bitbucket)),
            upstream: Arc::default(),
            clock: Clock {
                kind,
                offset: Arc::default(),
            },
        };
        let mut example = Example::read(setup.example);
        let mut config = example.plugin();
        (setup.config)(&mut config);
        example.set_plugin(&config);
        (setup.envoy)(&mut example);
        (example, around)
    }

    pub fn new(kind: Kind, setup: &Setup) -> Self {
        let (mut example, around) = Self::parts(kind, setup);
        let edge: Box<dyn Edge> = match kind {
            Kind::Native => Box::new(NativeEdge::new(
                &example.plugin().to_string(),
                setup,
                around.clone(),
            )),
            Kind::Envoy => Box::new(Arc::new(EnvoyEdge::start(example, setup, around.clone()))),
        };
        Self { edge, around }
    }

    /// Sends a request, and checks what has to hold for every answer.
    pub fn send(&mut self, request: Request) -> Response {
        let seen = self.upstream().count();
        let response = self.edge.send(request);
        let forwarded = self.upstream().count() > seen;
        match forwarded {
            true => invariants::of_forwarded(self.upstream().last_request().unwrap()),
            false => invariants::of_answer(&response),
        }
        response
    }

    pub fn browser(&mut self) -> Browser<'_> {
        Browser::new(self)
    }

    /// Lets time pass. Only in a story with a clock.
    pub fn advance(&mut self, seconds: u64) {
        self.around
            .clock
            .offset
            .fetch_add(seconds, Ordering::SeqCst);
    }

    /// Sets the clock back.
    pub fn rewind(&mut self, seconds: u64) {
        self.around
            .clock
            .offset
            .fetch_sub(seconds, Ordering::SeqCst);
    }

    pub fn bitbucket(&self) -> MutexGuard<'_, Bitbucket> {
        self.around.bitbucket.lock().unwrap()
    }

    pub fn upstream(&self) -> MutexGuard<'_, Upstream> {
        self.around.upstream.lock().unwrap()
    }

    /// The account id of the person whose nickname begins like this.
    pub fn person(&self, name: &str) -> String {
        let bitbucket = self.bitbucket();
        let mut people = bitbucket.settings.people.iter();
        let person = people.find(|person| person.nickname.to_lowercase().starts_with(name));
        person
            .unwrap_or_else(|| panic!("nobody is called {name}"))
            .account_id
            .clone()
    }

    /// How many requests Bitbucket was asked, but for the tokens of bots, which come by the clock.
    pub fn bitbucket_calls(&self) -> usize {
        let bitbucket = self.bitbucket();
        let ledger = bitbucket.ledger().iter();
        let is_of_bot = |grant: &Option<String>| grant.as_deref() == Some("client_credentials");
        ledger.filter(|entry| !is_of_bot(&entry.grant_type)).count()
    }
}
