//! The core in process: performs steps as the adapter does, without a network.

use std::collections::HashMap;
use std::rc::Rc;

use bitgate::config::Config;
use bitgate::gate::{Event, Forward, Gate, Job, Level, Progress, ResponsePlan, Step};
use bitgate::host::{Host, NativeSignatures, NoRandomness, Random, SharedData, Version};
use bitgate::http::{Call, Reply, SetCookie};
use bitgate::time::{Seconds, UnixTime};

use bitgate_simulator::bitbucket::{Bitbucket, Wire};

use super::example::SESSION_KEY;
use super::setup::Setup;
use super::world::Surroundings;
use super::{Edge, RawTarget, Request, Response};

/// Not random at all: stories are the same every time.
#[derive(Debug)]
pub struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = self.0.to_le_bytes()[0];
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
pub struct Memory(HashMap<String, (Vec<u8>, Version)>);

impl SharedData for Memory {
    fn read(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.0.get(key).cloned()
    }

    fn write(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> bool {
        let version = self.0.get(key).map_or(0, |(_, version)| *version);
        if version != 0 && expected.is_some_and(|expected| expected != version) {
            return false;
        }
        self.0.insert(key.to_owned(), (value.to_vec(), version + 1));
        true
    }
}

/// What a core can ask of a host, with nothing remembered.
pub fn parts() -> (impl Random, impl SharedData) {
    (Seeded::default(), Memory::default())
}

/// A request as Envoy hands it over.
pub type Fields = Vec<(String, Vec<u8>)>;

pub struct NativeEdge {
    gate: Rc<Gate>,
    random: Seeded,
    shared: Memory,
    around: Surroundings,
    is_bitbucket_down: bool,
    log: Vec<String>,
}

pub fn environment(name: &str) -> Option<String> {
    match name {
        "BITGATE_SESSION_KEY" => Some(SESSION_KEY.to_owned()),
        "BITBUCKET_CLIENT_SECRET" => Some("canary-client-secret".to_owned()),
        _ => None,
    }
}

/// What comes back of a call that Bitbucket gets at `now`.
pub fn reply_of(bitbucket: &mut Bitbucket, now: u64, call: &Call) -> Reply {
    let mut request = http::Request::builder()
        .method(call.method)
        .uri(&call.path)
        .header("host", &call.authority);
    for (name, value) in &call.headers {
        request = request.header(*name, value.as_str());
    }
    let request = request.body(call.body.clone()).unwrap();
    let response = bitbucket.handle(now, &request);
    match response.extensions().get::<Wire>() {
        Some(Wire::Hang) => return Reply::TimedOut,
        Some(Wire::Reset) => return Reply::Unreachable,
        Some(Wire::Delay(milliseconds)) if *milliseconds >= call.timeout.0 * 1_000 => {
            return Reply::TimedOut;
        }
        Some(Wire::Delay(_)) | None => {}
    }
    if response.body().len() > Reply::MAX_BODY_BYTES {
        return Reply::TooLarge;
    }
    let media_type = response
        .headers()
        .get("content-type")
        .and_then(|v| v.to_str().ok());
    let media_type = media_type
        .and_then(|text| text.split(';').next())
        .unwrap_or("");
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.and_then(|value| Seconds::parse(value.to_str().ok()?));
    Reply::Answer {
        status: response.status().as_u16(),
        media_type: media_type.trim().to_ascii_lowercase(),
        body: response.into_body(),
        retry_after,
    }
}

impl NativeEdge {
    pub fn new(config: &str, setup: &Setup, around: Surroundings) -> Self {
        let config = Config::parse(config.as_bytes(), &environment).expect("a good configuration");
        let gate = Gate::new(config).unwrap();
        let random = Seeded::default();
        Self {
            gate,
            random,
            shared: Memory::default(),
            around,
            is_bitbucket_down: setup.is_bitbucket_down,
            log: Vec::new(),
        }
    }

    fn call(&self, call: &Call) -> Reply {
        if self.is_bitbucket_down {
            return Reply::Unreachable;
        }
        let now = self.around.clock.now();
        reply_of(&mut self.around.bitbucket.lock().unwrap(), now, call)
    }

    fn host(&mut self) -> Host<'_> {
        Host {
            now: UnixTime(self.around.clock.now()),
            random: &mut self.random,
            shared: &mut self.shared,
            signatures: &NativeSignatures,
        }
    }

    /// Envoy's log of the filter begins at its level info.
    fn note(&mut self, event: &Event) {
        if event.level() != Level::Debug {
            self.log.push(event.to_string());
        }
    }

    fn finish(&mut self, mut job: Job) {
        loop {
            let reply = self.call(job.call());
            match job.resume(reply, &mut self.host()) {
                Progress::Again(next) => job = next,
                Progress::Done(event) => return self.log.push(event.to_string()),
            }
        }
    }

    /// One judgement, whatever comes of it.
    pub fn judge(&mut self, fields: Fields) -> Step {
        let received = bitgate::http::Request::read(fields);
        let gate = Rc::clone(&self.gate);
        gate.on_request(received, &mut self.host())
    }

    /// The judgement when nothing has to be asked any more.
    pub fn settled(&mut self, fields: Fields) -> Step {
        loop {
            let step = self.judge(fields.clone());
            let Step::Wait(Some(job), _) = step else {
                return step;
            };
            self.finish(job);
        }
    }

    /// What the root context does by the clock.
    fn tick(&mut self) {
        let gate = Rc::clone(&self.gate);
        for job in gate.on_tick(&mut self.host()) {
            self.finish(job);
        }
    }

    fn forward(&self, mut request: Request, forward: &Forward) -> Response {
        if let Some(RawTarget(target)) = request.extensions().get() {
            *request.uri_mut() = http::Uri::try_from(target.as_slice()).unwrap();
        }
        for name in &forward.remove {
            request.headers_mut().remove(&**name);
        }
        for (name, value) in forward.set.iter() {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request
                .headers_mut()
                .insert(name, http::HeaderValue::from_bytes(value).unwrap());
        }
        let mut response = self.around.upstream.lock().unwrap().handle(&request);
        let plan = &forward.response;
        let headers = response.headers_mut();
        let theirs: Vec<_> = headers.get_all("set-cookie").iter().cloned().collect();
        headers.remove("set-cookie");
        for line in theirs {
            if ResponsePlan::lets_through(line.as_bytes()) {
                headers.append("set-cookie", line);
            }
        }
        for cookie in plan
            .cookies
            .iter()
            .filter_map(|cookie| cookie.header_value())
        {
            headers.append("set-cookie", cookie.as_str().parse().unwrap());
        }
        if let Some(value) = plan.cache_control(headers.contains_key("cache-control")) {
            headers.insert("cache-control", value.parse().unwrap());
        }
        set_cookies(&mut response, &plan.cookies);
        response
    }
}

fn set_cookies(response: &mut Response, cookies: &[SetCookie]) {
    let headers = response.headers_mut();
    for cookie in cookies.iter().filter_map(SetCookie::header_value) {
        headers.append("set-cookie", cookie.as_str().parse().unwrap());
    }
    if !cookies.is_empty() {
        headers.insert("cache-control", "private, no-store".parse().unwrap());
    }
}

/// The fields as Envoy hands them over.
fn fields(request: &Request) -> Fields {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let target = match request.extensions().get::<RawTarget>() {
        Some(RawTarget(bytes)) => bytes.clone(),
        None => target.as_bytes().to_vec(),
    };
    let host = request
        .headers()
        .get("host")
        .map_or(&b""[..], |value| value.as_bytes());
    let mut fields = vec![
        (
            ":method".to_owned(),
            request.method().as_str().as_bytes().to_vec(),
        ),
        (":authority".to_owned(), host.to_vec()),
        (":path".to_owned(), target),
        ("x-request-id".to_owned(), b"native-request".to_vec()),
    ];
    let headers = request.headers().iter().filter(|(name, _)| *name != "host");
    fields
        .extend(headers.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())));
    fields
}

impl Edge for NativeEdge {
    fn send(&mut self, request: Request) -> Response {
        self.tick();
        let now = UnixTime(self.around.clock.now());
        let received = bitgate::http::Request::read(fields(&request));
        let mut host = Host {
            now,
            random: &mut self.random,
            shared: &mut self.shared,
            signatures: &NativeSignatures,
        };
        let mut step = self.gate.on_request(received, &mut host);
        loop {
            match step {
                Step::Call(call, pending) => {
                    let reply = self.call(&call);
                    let mut host = Host {
                        now,
                        random: &mut self.random,
                        shared: &mut self.shared,
                        signatures: &NativeSignatures,
                    };
                    step = pending.resume(reply, &mut host);
                }
                Step::Forward(mut forward) => {
                    let renewal = forward.renewal.take().map(Job::Renewal);
                    let ahead = forward.ahead.take();
                    let mut response = self.forward(request, &forward);
                    if let Some(place) = forward.response.bot {
                        let gate = Rc::clone(&self.gate);
                        let status = response.status().as_u16();
                        let event = gate.bot_answered(place, status, &mut self.host());
                        event.iter().for_each(|event| self.note(event));
                    }
                    for job in renewal.into_iter().chain(ahead) {
                        self.finish(job);
                    }
                    if let Some(watch) = &forward.response.watch {
                        let gate = Rc::clone(&self.gate);
                        let cookies = gate.late_cookies(watch, &self.host());
                        let cookies = cookies.unwrap_or_default();
                        set_cookies(&mut response, &cookies);
                    }
                    return response;
                }
                Step::Noted(events, next) => {
                    events.iter().for_each(|event| self.note(event));
                    step = *next;
                }
                Step::Wait(job, waiting) => {
                    // Without one, somebody would be at it who does not exist here.
                    let Some(job) = job else {
                        step = waiting.give_up();
                        continue;
                    };
                    self.finish(job);
                    step = waiting.resume(&mut self.host());
                }
                Step::Respond(response, event) => {
                    self.note(&event);
                    let mut built = http::Response::builder().status(response.status);
                    for (name, value) in &response.headers {
                        built = built.header(*name, value.as_str());
                    }
                    return built.body(response.body).unwrap();
                }
            }
        }
    }

    fn log(&mut self) -> Vec<String> {
        self.log.clone()
    }

    fn shared_data(&self) -> Option<String> {
        let Memory(all) = &self.shared;
        let lines = all
            .iter()
            .map(|(key, (value, _))| format!("{key} {}\n", String::from_utf8_lossy(value)));
        Some(lines.collect())
    }

    fn gauge(&mut self, name: &str) -> u64 {
        let gate = Rc::clone(&self.gate);
        let gauges = gate.gauges(&self.host());
        let found = gauges.iter().find(|(known, _)| known == name);
        found.map_or(0, |(_, value)| *value)
    }

    fn envoy(&self) -> Option<&super::envoy::Envoy> {
        None
    }
}
