//! A case of the catalogue, and the worlds that cases run in.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::envoy_edge::EnvoyEdge;
use crate::support::setup::Setup;
use crate::support::world::{Kind, Surroundings, World};
use crate::support::{RawTarget, Request, Response};

/// One attack, and what must come of it.
pub struct Case {
    pub id: &'static str,
    pub edges: &'static [Kind],
    /// A world of its own; else it shares the Envoy of its group.
    pub setup: Option<fn() -> Setup>,
    pub run: fn(&mut World),
}

impl Case {
    /// On the core in process, and through Envoy.
    pub const fn both(id: &'static str, run: fn(&mut World)) -> Self {
        Self::on(&[Kind::Native, Kind::Envoy], id, run)
    }

    /// Where bytes or the host matter.
    pub const fn envoy(id: &'static str, run: fn(&mut World)) -> Self {
        Self::on(&[Kind::Envoy], id, run)
    }

    /// Where Envoy adds nothing, or takes the case away.
    pub const fn native(id: &'static str, run: fn(&mut World)) -> Self {
        Self::on(&[Kind::Native], id, run)
    }

    const fn on(edges: &'static [Kind], id: &'static str, run: fn(&mut World)) -> Self {
        Self {
            id,
            edges,
            setup: None,
            run,
        }
    }

    pub const fn with(self, setup: fn() -> Setup) -> Self {
        Self {
            setup: Some(setup),
            ..self
        }
    }

    /// Runs it, and then asks for a public page: whatever came before, the next request works.
    pub fn try_on(&self, kind: Kind) {
        match (kind, self.setup) {
            (Kind::Native, setup) => self.judge(&mut World::new(
                kind,
                &setup.map_or_else(|| setup_of(Group::name_of(self.id)), |s| s()),
            )),
            (Kind::Envoy, Some(setup)) => self.judge(&mut World::new(kind, &setup())),
            (Kind::Envoy, None) => {
                let group = Group::of(self.id);
                let _turn = group.turn.lock().unwrap_or_else(PoisonError::into_inner);
                self.judge(&mut World {
                    edge: Box::new(Arc::clone(&group.edge)),
                    around: group.around.clone(),
                });
            }
        }
    }

    fn judge(&self, world: &mut World) {
        (self.run)(world);
        let plain = world.send(empty(get("/public/afterwards")));
        assert_eq!(plain.status(), 200, "the next plain request");
        if let Some(envoy) = world.edge.envoy() {
            let reloads = envoy.stats("vm_reload");
            assert!(
                !reloads.lines().any(|line| !line.ends_with(": 0")),
                "{reloads}"
            );
        }
    }
}

/// The world of the cases of a group that ask for no other.
fn setup_of(group: &str) -> Setup {
    match group {
        "JWT" => super::token::site(),
        _ => shared_setup(),
    }
}

/// The world of most cases: the demo with a few more rules, and an Envoy that leaves paths to the
/// filter.
fn shared_setup() -> Setup {
    Setup {
        config: |config| {
            let more = json!([
                {"match": {"path": "/health"}, "allow": "public"},
                {"match": {"path": "/foo/{name}/bar"}, "allow": "public"},
                {"match": {"path": "/read-only", "methods": ["GET", "HEAD"]}, "allow": "signed_in"},
                {"match": {"path": "/read-only"}, "allow": "nobody"},
            ]);
            let rules = config["rules"].as_array_mut().unwrap();
            rules.splice(0..0, more.as_array().unwrap().clone());
        },
        envoy: |example| example.leave_paths_alone(),
        ..Setup::default()
    }
}

/// One Envoy for the cases of a group, one after the other.
struct Group {
    turn: Mutex<()>,
    edge: Arc<EnvoyEdge>,
    around: Surroundings,
}

static GROUPS: Mutex<BTreeMap<String, Arc<Group>>> = Mutex::new(BTreeMap::new());

impl Group {
    fn name_of(id: &str) -> &str {
        id.split('-').next().unwrap()
    }

    fn of(id: &str) -> Arc<Self> {
        let name = Self::name_of(id);
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        let group = groups.entry(name.to_owned()).or_insert_with(|| {
            let setup = setup_of(name);
            let (example, around) = World::parts(Kind::Envoy, &setup);
            Arc::new(Self {
                turn: Mutex::new(()),
                edge: Arc::new(EnvoyEdge::start(example, &setup, around.clone())),
                around,
            })
        });
        Arc::clone(group)
    }
}

/// Ends all shared Envoys.
pub fn end() {
    GROUPS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}

pub fn get(path: &str) -> http::request::Builder {
    http::Request::get(path).header("host", "localhost:10000")
}

pub fn post(path: &str) -> http::request::Builder {
    http::Request::post(path).header("host", "localhost:10000")
}

pub fn empty(builder: http::request::Builder) -> Request {
    builder.body(Vec::new()).unwrap()
}

/// A GET whose target may be any bytes.
pub fn raw(target: &[u8]) -> http::request::Builder {
    get("/").extension(RawTarget(target.to_vec()))
}

/// As a browser that opens a page.
pub fn navigation(builder: http::request::Builder) -> Request {
    empty(
        builder
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate"),
    )
}

pub fn reason(response: &Response) -> &str {
    crate::support::browser::header(response, "x-bitgate-reason")
}

/// The answer is this refusal, and the upstream was not asked.
#[track_caller]
pub fn refused(world: &mut World, request: Request, status: u16, code: &str) -> Response {
    let shown = format!("{} {}", request.method(), request.uri());
    let seen = world.upstream().count();
    let answer = world.send(request);
    assert_eq!(
        (answer.status().as_u16(), reason(&answer)),
        (status, code),
        "{shown}"
    );
    assert_eq!(world.upstream().count(), seen, "{shown}");
    answer
}

/// The answer is a refusal of ours or of Envoy, and the upstream was not asked.
#[track_caller]
pub fn turned_away(world: &mut World, request: Request) -> Response {
    let shown = format!("{:?}", request.extensions().get::<RawTarget>());
    let seen = world.upstream().count();
    let answer = world.send(request);
    let status = answer.status().as_u16();
    assert!(
        status == 302 || (400..=503).contains(&status),
        "{shown} {status}"
    );
    assert_eq!(world.upstream().count(), seen, "{shown}");
    answer
}

/// Ada's browser, signed in.
pub fn ada(world: &mut World) -> Browser<'_> {
    let ada = world.person("ada");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &ada).status(), 302);
    assert_eq!(browser.open("/").status(), 200);
    browser
}
