//! Random histories of one session: requests on several instances, renewals whose answers come
//! late or never, restarts, outages and time, against the strict simulator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "tests: a failed expectation is a failed test"
)]

mod support;

use std::collections::BTreeMap;
use std::rc::Rc;

use bitgate::config::Config;
use bitgate::gate::{Gate, Job, Renewal, Step, Waiting, Watch};
use bitgate::host::{Host, NativeSignatures};
use bitgate::http::{Headers, Reply, Request, SetCookie};
use bitgate::time::UnixTime;
use bitgate_simulator::bitbucket::{Fault, FaultResponse};
use proptest::prelude::*;
use serde_json::json;
use support::browser::{Jar, SITE};
use support::native_edge::{Memory, Seeded, environment};
use support::setup::Setup;
use support::world::{Kind, World};

const LIFETIME: u64 = 1_000;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    /// A request comes to an instance; the call that it starts is on its way.
    Request(usize),
    /// The oldest answer that is on its way arrives.
    Answer,
    /// The newest answer that is on its way arrives first.
    AnswerOutOfOrder,
    /// A VM dies, and with it what it waits for. Shared data stays.
    Death(usize),
    /// An instance starts anew, and knows nothing.
    Restart(usize),
    /// Bitbucket fails once.
    Outage,
    /// An instance gets the configuration in which the other of two keys seals.
    Keys(usize),
    /// Time goes by.
    Wait(u64),
}

/// A call that Bitbucket has answered, and whose answer has not arrived.
struct OnItsWay {
    instance: usize,
    renewal: Renewal,
    reply: Reply,
    watch: Option<Watch>,
}

struct Instance {
    gate: Rc<Gate>,
    /// Which of the two keys seals.
    first: usize,
    memory: Memory,
    /// How often each refresh token was used, since it last forgot something.
    used: BTreeMap<Vec<u8>, usize>,
}

struct Machine {
    world: World,
    instances: Vec<Instance>,
    random: Seeded,
    jar: Jar,
    way: Vec<OnItsWay>,
    waiting: Vec<(usize, Box<Waiting>)>,
    /// Something was lost, or two instances raced: a session may end for it.
    has_cause: bool,
}

fn setup() -> Setup {
    Setup {
        bitbucket: |settings| {
            settings.access_lifetime = LIFETIME;
            settings.reuse_window = 0;
        },
        config: |config| config["session"]["idle_timeout"] = "12h".into(),
        ..Setup::default()
    }
}

/// A gate with two keys, of which `first` seals.
fn gate(first: usize) -> Rc<Gate> {
    let (mut example, _) = World::parts(Kind::Native, &setup());
    let mut config = example.plugin();
    let mut keys = [
        config["session"]["keys"][0].clone(),
        json!({"kid": "other", "key": {"inline": "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LTAwMDI="}}),
    ];
    keys.rotate_left(first);
    config["session"]["keys"] = json!(keys);
    let config = Config::parse(config.to_string().as_bytes(), &environment).unwrap();
    Gate::new(config).unwrap()
}

impl Machine {
    fn start(instances: usize) -> Self {
        let mut world = World::new(Kind::Native, &setup());
        let ada = world.person("ada");
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("/", &ada).status(), 302);
        let jar = browser.jar.clone();
        let instance = |_| Instance {
            gate: gate(0),
            first: 0,
            memory: Memory::default(),
            used: BTreeMap::new(),
        };
        Self {
            instances: (0..instances).map(instance).collect(),
            world,
            random: Seeded::default(),
            jar,
            way: Vec::new(),
            waiting: Vec::new(),
            has_cause: instances > 1,
        }
    }

    fn with_host<T>(
        &mut self,
        instance: usize,
        ask: impl FnOnce(&Rc<Gate>, &mut Host<'_>) -> T,
    ) -> T {
        let now = UnixTime(self.world.around.clock.now());
        let Instance { gate, memory, .. } = &mut self.instances[instance];
        ask(
            gate,
            &mut Host {
                now,
                random: &mut self.random,
                shared: memory,
                signatures: &NativeSignatures,
            },
        )
    }

    fn happen(&mut self, happening: &Happening) {
        let count = self.instances.len();
        match happening {
            Happening::Request(instance) => self.request(instance % count),
            Happening::Answer if !self.way.is_empty() => {
                let answer = self.way.remove(0);
                self.arrive(answer);
            }
            Happening::AnswerOutOfOrder => {
                if let Some(answer) = self.way.pop() {
                    self.arrive(answer);
                }
            }
            Happening::Answer => {}
            Happening::Death(instance) => self.lose(instance % count),
            Happening::Restart(instance) => {
                self.lose(instance % count);
                self.instances[instance % count].memory = Memory::default();
                self.has_cause = true;
            }
            Happening::Outage => self.world.bitbucket().fail_next(Fault {
                path: "/site/oauth2/access_token".to_owned(),
                times: 1,
                response: FaultResponse::Status(503),
            }),
            Happening::Keys(instance) => {
                // Envoy keeps the shared data; what waits belongs to the old configuration.
                let instance = &mut self.instances[instance % count];
                instance.first = 1 - instance.first;
                instance.gate = gate(instance.first);
            }
            Happening::Wait(seconds) => self.world.advance(*seconds),
        }
    }

    /// What was on its way to an instance arrives nowhere: a rotated token may be lost with it.
    fn lose(&mut self, instance: usize) {
        let before = self.way.len();
        self.way.retain(|answer| answer.instance != instance);
        self.has_cause |= self.way.len() != before;
        self.waiting.retain(|(at, _)| *at != instance);
        self.instances[instance].used.clear();
    }

    fn request(&mut self, instance: usize) {
        self.request_of(instance, "/");
    }

    fn request_of(&mut self, instance: usize, path: &str) {
        let fields = [
            (":method", "GET".to_owned()),
            (":authority", "localhost:10000".to_owned()),
            (":path", path.to_owned()),
            ("cookie", self.jar.header_for(path)),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.into_bytes()));
        let request = Request::read(fields.to_vec());
        let step = self.with_host(instance, |gate, host| gate.on_request(request, host));
        self.perform(instance, step);
    }

    fn perform(&mut self, instance: usize, step: Step) {
        match step {
            Step::Forward(forward) => {
                let set = forward.set.iter();
                let set = set.map(|(name, value)| (name.to_owned(), value.to_vec()));
                let headers = Headers::new(set.collect());
                let bearer = headers.single("authorization").unwrap().to_owned();
                let token = bearer.strip_prefix("Bearer ").unwrap();
                let now = self.world.around.clock.now();
                assert!(
                    self.world.bitbucket().is_good(now, token),
                    "an expired token went upstream"
                );
                self.keep(&forward.response.cookies);
                if let Some(renewal) = forward.renewal {
                    self.send(instance, *renewal, forward.response.watch);
                }
            }
            Step::Wait(job, waiting) => {
                match job {
                    Some(Job::Renewal(renewal)) => self.send(instance, *renewal, None),
                    Some(Job::Bot(_) | Job::Keys(_) | Job::Lookup(_)) => {
                        panic!("no rule here asks for that")
                    }
                    None => {}
                }
                self.waiting.push((instance, waiting));
            }
            // It has to be brought the tokens, and is.
            Step::Respond(response, _) if response.status == 307 => {
                let all = |wanted| {
                    let headers = response.headers.iter();
                    headers.filter(move |(name, _)| *name == wanted)
                };
                let set = all("set-cookie").map(|(_, value)| value.as_str().to_owned());
                self.keep_lines(set.collect());
                let (_, location) = all("location").next().unwrap();
                let path = location.as_str().strip_prefix(SITE).unwrap();
                self.request_of(instance, path);
            }
            Step::Respond(response, event) => {
                let reason = event.reason.map_or("none", |reason| reason.code());
                let is_known = self.has_cause && reason == "grant_refused";
                let is_outage = response.status == 503 && reason == "renewal_unavailable";
                assert!(is_known || is_outage, "the session ended: {reason}");
            }
            Step::Call(..) => panic!("a call that nobody owns"),
            Step::Noted(..) => panic!("no rule here is on trial"),
        }
    }

    /// Bitbucket sees the call at once; its answer is on its way.
    fn send(&mut self, instance: usize, renewal: Renewal, watch: Option<Watch>) {
        let call = renewal.call();
        let used = &mut self.instances[instance].used;
        let times = used.entry(call.body.clone()).or_insert(0);
        let mut request = http::Request::post(&call.path).header("host", &call.authority);
        for (name, value) in &call.headers {
            request = request.header(*name, value.as_str());
        }
        let request = request.body(call.body.clone()).unwrap();
        let now = self.world.around.clock.now();
        let response = self.world.bitbucket().handle(now, &request);
        // A call that Bitbucket could not serve, or refused, has used nothing up.
        *times += usize::from(response.status() == 200);
        assert!(*times <= 1, "a refresh token was used twice");
        let media_type = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let reply = Reply::Answer {
            status: response.status().as_u16(),
            media_type,
            body: response.into_body(),
            retry_after: None,
        };
        self.way.push(OnItsWay {
            instance,
            renewal,
            reply,
            watch,
        });
    }

    fn arrive(&mut self, answer: OnItsWay) {
        let OnItsWay {
            instance,
            renewal,
            reply,
            watch,
        } = answer;
        self.with_host(instance, |_, host| renewal.finish(reply, host));
        if let Some(watch) = watch {
            let late = self.with_host(instance, |gate, host| gate.late_cookies(&watch, host));
            self.keep(&late.unwrap_or_default());
        }
        // What waits looks again, on every worker of the instance.
        let waiting = std::mem::take(&mut self.waiting);
        for (at, one) in waiting {
            if at == instance {
                let step = self.with_host(at, |_, host| one.resume(host));
                self.perform(at, step);
            } else {
                self.waiting.push((at, one));
            }
        }
    }

    fn keep(&mut self, cookies: &[SetCookie]) {
        let lines = cookies.iter().filter_map(SetCookie::header_value);
        self.keep_lines(lines.map(|line| line.as_str().to_owned()).collect());
    }

    fn keep_lines(&mut self, lines: Vec<String>) {
        let mut response = http::Response::new(Vec::new());
        for line in lines {
            response
                .headers_mut()
                .append("set-cookie", line.parse().unwrap());
        }
        self.jar.take(&response);
    }
}

fn happenings(instances: usize, with_losses: bool) -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        8 => (0..instances).prop_map(Happening::Request),
        5 => Just(Happening::Answer),
        1 => Just(Happening::AnswerOutOfOrder),
        1 => Just(Happening::Outage),
        1 => (0..instances).prop_map(Happening::Keys),
        6 => prop_oneof![1_u64..20, 100_u64..400, 700_u64..900, 1_000_u64..3_000].prop_map(Happening::Wait),
        u32::from(with_losses) => (0..instances).prop_map(Happening::Death),
        u32::from(with_losses) => (0..instances).prop_map(Happening::Restart),
    ];
    proptest::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// One instance that loses nothing: the session lives on, whatever the order, and each refresh
    /// token is used once. A lease that runs out while its answer is on the way is the one exception,
    /// and waits are shorter than that only if the answer arrives; so they are told apart.
    #[test]
    fn one_instance_never_ends_a_session(history in happenings(1, false)) {
        let mut machine = Machine::start(1);
        for happening in &history {
            // An answer is not later than a call may take: then Envoy would have said so.
            if let Happening::Wait(seconds) = happening
                && *seconds > 4
            {
                while !machine.way.is_empty() {
                    machine.happen(&Happening::Answer);
                }
            }
            machine.happen(happening);
        }
        prop_assert!(!machine.has_cause);
    }

    /// Several instances, deaths and restarts: nothing expired goes upstream, no instance that
    /// remembers uses a token twice, and a session ends only by a refusal that has a cause.
    #[test]
    fn several_instances_with_losses_end_a_session_for_a_cause_only(history in happenings(3, true)) {
        let mut machine = Machine::start(3);
        for happening in &history {
            if let Happening::Wait(seconds) = happening
                && *seconds > 4
            {
                while !machine.way.is_empty() {
                    machine.happen(&Happening::Answer);
                }
            }
            machine.happen(happening);
        }
    }
}
