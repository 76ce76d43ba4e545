//! Whom the table asks: the core in process, or Envoy.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::programs::run_pipelines;
use crate::rows::{Brought, Row};
use crate::site::{DEPLOYER, SCOPES};
use crate::support::browser::{Browser, header};
use crate::support::envoy_edge::EnvoyEdge;
use crate::support::keep_alive::KeepAlive;
use crate::support::native_edge::NativeEdge;
use crate::support::setup::Setup;
use crate::support::world::{Kind, World};
use crate::support::{RawTarget, Request, Response, invariants};
use crate::table::Table;

/// What came of a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    /// If it reached the upstream: what arrived there.
    pub received: Option<Arrived>,
}

/// What the upstream learns of who asks.
#[derive(Debug, PartialEq)]
pub struct Arrived {
    /// The scheme of a person's credential; with `+bot`, it is the bot's. `brought` is left alone.
    pub credential: Option<String>,
    pub user: Option<String>,
    pub principal: Option<String>,
}

/// An event: its kind, its rule and its reason.
pub type Logged = (String, Option<String>, Option<String>);

pub struct Decider {
    world: World,
    wire: Option<KeepAlive>,
    /// The cookies of each person.
    sessions: Vec<String>,
    /// The token of each program.
    tokens: Vec<String>,
    /// Events before the first row.
    before: usize,
}

impl Decider {
    /// Signs everybody in.
    pub fn new(kind: Kind, table: &Table) -> Self {
        let setup = Setup::default();
        let (mut example, around) = World::parts(kind, &setup);
        let tokens = {
            let mut bitbucket = around.bitbucket.lock().unwrap();
            bitbucket.settings = table.site.settings.clone();
            run_pipelines(table.site.form, &mut bitbucket);
            let programs = table.site.programs.iter();
            programs
                .map(|program| program.token(around.clock.now(), &mut bitbucket))
                .collect()
        };
        example.set_plugin(&table.config);
        example.leave_paths_alone();
        let mut wire = None;
        let edge: Box<dyn crate::support::Edge> = match kind {
            Kind::Native => Box::new(NativeEdge::new(
                &table.config.to_string(),
                &setup,
                around.clone(),
            )),
            Kind::Envoy => {
                let edge = EnvoyEdge::start(example, &setup, around.clone());
                wire = Some(KeepAlive::new(edge.envoy.listener));
                Box::new(Arc::new(edge))
            }
        };
        let mut world = World { edge, around };
        let people = &table.site.settings.people;
        let mut sessions = vec![String::new(); people.len()];
        for (place, scopes) in SCOPES.iter().enumerate() {
            let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            world.bitbucket().settings.consumers[0].scopes = scopes;
            for (number, person) in people.iter().enumerate() {
                if table.site.scopes_of(number) == place {
                    let mut browser = Browser::new(&mut world);
                    let answer = browser.sign_in("/", &person.account_id);
                    assert_eq!(
                        answer.status(),
                        302,
                        "{}",
                        header(&answer, "x-bitgate-reason")
                    );
                    sessions[number] = browser.jar.header();
                }
            }
        }
        let before = world.edge.log().len();
        Self {
            world,
            wire,
            sessions,
            tokens,
            before,
        }
    }

    pub fn ask(&mut self, row: &Row) -> Answer {
        let mut request = http::Request::builder()
            .method(row.method)
            .uri("/")
            .header("host", "localhost:10000")
            .extension(RawTarget(row.path.as_bytes().to_vec()));
        if let Some(person) = row.sender.person {
            request = request.header("cookie", &self.sessions[person]);
        }
        let brought = row.sender.program.map(|(program, how)| match how {
            Brought::Bearer => format!("Bearer {}", self.tokens[program]),
            Brought::Password => {
                let pair = format!("x-token-auth:{}", self.tokens[program]);
                format!("Basic {}", STANDARD.encode(pair))
            }
        });
        if let Some(brought) = &brought {
            request = request.header("authorization", brought);
        }
        if row.page {
            request = request
                .header("accept", "text/html")
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-dest", "document");
        }
        let request = request.body(Vec::new()).unwrap();
        let seen = self.world.upstream().count();
        let response = self.send(request);
        let upstream = self.world.upstream();
        let received = upstream.last_request().filter(|_| upstream.count() > seen);
        Answer {
            status: response.status().as_u16(),
            reason: header(&response, "x-bitgate-reason").to_owned(),
            received: received.map(|received| {
                invariants::of_forwarded(received);
                let text = |name: &str| received.header(name).map(str::to_owned);
                let credential = text("authorization");
                Arrived {
                    credential: match credential == brought {
                        true => credential.map(|_| "brought".to_owned()),
                        false => credential.map(|credential| shown(&credential)),
                    },
                    user: text("x-forwarded-user"),
                    principal: text("x-bitgate-principal"),
                }
            }),
        }
    }

    fn send(&mut self, request: Request) -> Response {
        match &mut self.wire {
            None => self.world.send(request),
            Some(wire) => wire.send(&request),
        }
    }

    /// What was logged of the rows.
    pub fn events(&mut self) -> Vec<Logged> {
        let lines = self.world.edge.log().into_iter().skip(self.before);
        let event = |line: String| -> Option<Logged> {
            let event: Value = serde_json::from_str(&line[line.find("{\"event\"")?..]).ok()?;
            let text = |name: &str| event[name].as_str().map(str::to_owned);
            let kind = text("event")?;
            let is_decision = ["refused", "login_started", "shadowed"].contains(&kind.as_str());
            is_decision.then(|| (kind, text("rule"), text("reason")))
        };
        lines.filter_map(event).collect()
    }
}

/// The scheme of a credential, and whether it is the bot's.
fn shown(credential: &str) -> String {
    let (scheme, text) = credential.split_once(' ').unwrap();
    let secret = match scheme {
        "Basic" => {
            let pair = String::from_utf8(STANDARD.decode(text).unwrap()).unwrap();
            pair.strip_prefix("x-token-auth:").unwrap().to_owned()
        }
        _ => text.to_owned(),
    };
    match secret == DEPLOYER {
        true => format!("{scheme}+bot"),
        false => scheme.to_owned(),
    }
}
