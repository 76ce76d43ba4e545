//! An Envoy with one of the filters in it, and all that it talks to.

use std::sync::Mutex;
use std::time::Duration;

use bitgate_simulator::bitbucket::Step;
use bitgate_simulator::server::Running;
use serde_json::{Value, json};

use crate::browser::{Browser, Jar, location};
use crate::filters;
use crate::support::browser::hidden_inputs;
use crate::support::envoy::Envoy;
use crate::support::envoy_edge::connect;
use crate::support::example::Example;
use crate::support::keep_alive::KeepAlive;
use crate::support::setup::Setup;
use crate::support::world::{Kind, Surroundings, World};
use crate::support::{Request, Response};

/// A request with this header field goes to the service that answers with what it got.
pub(crate) const ECHO: &str = "x-bench-echo";

/// What every other request that gets through is answered by Envoy itself.
pub(crate) const BODY: &str = "ok\n";

/// What stands between clients and the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    None,
    /// `benches/floor`, with tokens of so many characters.
    Floor,
    Bitgate,
    /// Another build of it, which the person at the terminal names.
    Other,
    Oauth2,
    JwtAuthn {
        cached: bool,
    },
}

/// What a site is to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Tells sites apart that are the same otherwise.
    pub(crate) name: &'static str,
    pub(crate) filter: Filter,
    /// Characters of each token that Bitbucket gives.
    pub(crate) tokens: usize,
    /// How many rules Bitgate has; the last one matches.
    pub(crate) rules: usize,
    /// Threads of Envoy.
    pub(crate) workers: u32,
    /// Seconds that tokens live.
    pub(crate) lifetime: u64,
}

impl Plan {
    pub(crate) fn of(filter: Filter, tokens: usize) -> Self {
        Self {
            name: "",
            filter,
            tokens,
            rules: 0,
            workers: 1,
            lifetime: 7_200,
        }
    }
}

pub(crate) struct Site {
    pub(crate) envoy: Envoy,
    pub(crate) plan: Plan,
    around: Surroundings,
    _servers: Vec<Running>,
}

impl Site {
    pub(crate) fn start(plan: Plan) -> Self {
        let setup = Setup::default();
        let (mut example, around) = World::parts(Kind::Envoy, &setup);
        {
            let mut bitbucket = around.bitbucket.lock().unwrap();
            let settings = &mut bitbucket.settings;
            settings.token_length = Some(plan.tokens);
            settings.access_lifetime = plan.lifetime;
            // Sites have a day for as many sign-ins.
            settings.api_limit = None;
        }
        let mut servers = connect(&mut example, &around);
        example.free_ports();
        answer_by_itself(&mut example);
        match plan.filter {
            Filter::None => filters::none(&mut example),
            Filter::Floor => filters::floor(&mut example, plan.tokens),
            Filter::Bitgate | Filter::Other => filters::bitgate(&mut example, &plan),
            Filter::Oauth2 => {
                let provider = filters::token_endpoint(plan.tokens);
                filters::oauth2(&mut example, provider.address().port());
                servers.push(provider);
            }
            Filter::JwtAuthn { cached } => {
                let keys = keys(&around);
                filters::jwt_authn(&mut example, &keys, cached);
            }
        }
        Self {
            envoy: Envoy::start_as_a_site(&example, plan.workers),
            plan,
            around,
            _servers: servers,
        }
    }

    pub(crate) fn connection(&self) -> KeepAlive {
        KeepAlive::new(self.envoy.listener)
    }

    /// A browser that signed in and opened a page since.
    pub(crate) fn sign_in(&self, connection: &mut KeepAlive) -> Jar {
        let mut browser = Browser::new(connection);
        let sent_away = browser.open("/x");
        assert_eq!(sent_away.status(), 302, "{sent_away:?}");
        let callback = match self.plan.filter {
            Filter::Bitgate | Filter::Other => self.answer_as_ada(&sent_away),
            Filter::Oauth2 => filters::answer_at_once(&sent_away),
            Filter::None | Filter::Floor | Filter::JwtAuthn { .. } => {
                panic!("nothing to sign in at")
            }
        };
        let signed_in = browser.open(&callback);
        assert_eq!(signed_in.status(), 302, "{signed_in:?}");
        let opened = browser.visit("/x");
        assert_eq!(opened.status(), 200, "{opened:?}");
        browser.jar
    }

    /// At Bitbucket. Gives the target of the callback.
    fn answer_as_ada(&self, sent_away: &Response) -> String {
        let url = location(sent_away).unwrap();
        let target = url
            .strip_prefix("http://127.0.0.1:10001")
            .expect("Bitbucket's address");
        let mut bitbucket = self.around.bitbucket.lock().unwrap();
        let now = self.around.clock.now();
        let get = http::Request::get(target).header("host", "127.0.0.1:10001");
        let page = bitbucket.handle(now, &get.body(Vec::new()).unwrap());
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in hidden_inputs(&String::from_utf8_lossy(page.body())) {
            form.append_pair(&name, &value);
        }
        let ada = bitbucket.settings.people[0].account_id.clone();
        form.append_pair("account", &ada)
            .append_pair("decision", "grant");
        let post = http::Request::post("/site/oauth2/authorize")
            .header("host", "127.0.0.1:10001")
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = bitbucket.handle(now, &post.body(form.finish().into_bytes()).unwrap());
        let callback = location(&answer).unwrap();
        callback
            .strip_prefix("http://localhost:10000")
            .expect("our address")
            .to_owned()
    }

    /// As many sessions, each of a browser of its own.
    pub(crate) fn sign_in_many(&self, count: usize) -> Vec<Jar> {
        let mut jars = vec![Jar::default(); count];
        self.for_all(&mut jars, |jar, connection| *jar = self.sign_in(connection));
        jars
    }

    /// Lets each browser open a page, and follow where it is sent to on the site. Its cookies are the newest then.
    /// Gives the statuses that were not 200.
    pub(crate) fn visit_all(&self, jars: &mut [Jar]) -> Vec<u16> {
        let failed = Mutex::new(Vec::new());
        self.for_all(jars, |jar, connection| {
            let mut browser = Browser::with(std::mem::take(jar), connection);
            let status = browser.visit("/x").status().as_u16();
            *jar = browser.jar;
            if status != 200 {
                failed.lock().unwrap().push(status);
            }
        });
        failed.into_inner().unwrap()
    }

    fn for_all(&self, jars: &mut [Jar], act: impl Fn(&mut Jar, &mut KeepAlive) + Sync) {
        let part = jars.len().div_ceil(4).max(1);
        std::thread::scope(|scope| {
            for jars in jars.chunks_mut(part) {
                scope.spawn(|| {
                    let mut connection = self.connection();
                    for jar in jars {
                        act(jar, &mut connection);
                    }
                });
            }
        });
    }

    /// How many renewals of a grant Bitbucket was asked for.
    pub(crate) fn renewals(&self) -> usize {
        let bitbucket = self.around.bitbucket.lock().unwrap();
        let is_renewal = |grant: &Option<String>| grant.as_deref() == Some("refresh_token");
        bitbucket
            .ledger()
            .iter()
            .filter(|entry| is_renewal(&entry.grant_type))
            .count()
    }

    /// How many sessions were opened, since they were not in a worker's memory.
    pub(crate) fn opened(&self) -> u64 {
        // It counts once a second.
        std::thread::sleep(Duration::from_millis(1_500));
        let opened = self.envoy.stat("wasmcustom.bitgate_sessions_opened_total");
        assert!(opened > 0, "a site that was visited opened some");
        opened
    }

    /// Tokens of steps of a pipeline. All simulators sign with the same keys, so any site takes them.
    pub(crate) fn step_tokens(&self, count: usize) -> Vec<String> {
        let mut step = Step::of("acme", "widgets", "main");
        step.lifetime = 86_400;
        let now = self.around.clock.now();
        let mut bitbucket = self.around.bitbucket.lock().unwrap();
        (0..count)
            .map(|_| bitbucket.run_step(now, &step).unwrap())
            .collect()
    }
}

fn keys(around: &Surroundings) -> Value {
    let path = "/2.0/workspaces/acme/pipelines-config/identity/oidc/keys.json";
    let request = http::Request::get(path).header("host", "127.0.0.1:10002");
    let request: Request = request.body(Vec::new()).unwrap();
    let answer = around
        .bitbucket
        .lock()
        .unwrap()
        .handle(around.clock.now(), &request);
    serde_json::from_slice(answer.body()).unwrap()
}

/// No upstream and no access log: their cost is the same with every filter, and hides what differs.
fn answer_by_itself(example: &mut Example) {
    let manager = filters::manager(example);
    manager.as_object_mut().unwrap().remove("access_log");
    manager["route_config"]["virtual_hosts"][0]["routes"] = json!([
        {
            "match": {"prefix": "/", "headers": [{"name": ECHO, "present_match": true}]},
            "route": {"cluster": "demo_upstream"},
        },
        {
            "match": {"prefix": "/"},
            "direct_response": {"status": 200, "body": {"inline_string": BODY}},
        },
    ]);
}
