//! The real module in a real Envoy, with the simulators as servers.

use std::sync::Arc;

use bitgate_simulator::client::{self, Protocol};
use bitgate_simulator::server::{self, Running};

use super::envoy::{Envoy, module};
use super::example::Example;
use super::setup::Setup;
use super::world::Surroundings;
use super::{Edge, RawTarget, Request, Response};

pub struct EnvoyEdge {
    pub envoy: Envoy,
    clock: Option<super::world::Clock>,
    protocol: Protocol,
    _servers: Vec<Running>,
}

/// Serves both simulators on free ports and points the example's clusters to them.
pub fn connect(example: &mut Example, around: &Surroundings) -> Vec<Running> {
    let any = ([127, 0, 0, 1], 0).into();
    let (bitbucket, clock) = (Arc::clone(&around.bitbucket), around.clock.clone());
    let provider = server::spawn(any, move |_, request| {
        bitbucket.lock().unwrap().handle(clock.now(), &request)
    });
    let upstream = Arc::clone(&around.upstream);
    let service = server::spawn(any, move |_, request| {
        upstream.lock().unwrap().handle(&request)
    });
    let (provider, service) = (provider.unwrap(), service.unwrap());
    example.set_cluster_port("bitbucket_web", provider.address().port());
    example.set_cluster_port("bitbucket_api", provider.address().port());
    example.set_cluster_port("demo_upstream", service.address().port());
    vec![provider, service]
}

impl EnvoyEdge {
    pub fn start(mut example: Example, setup: &Setup, around: Surroundings) -> Self {
        let servers = connect(&mut example, &around);
        if setup.is_bitbucket_down {
            // A port that was free a moment ago.
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = port.local_addr().unwrap().port();
            example.set_cluster_port("bitbucket_web", port);
            example.set_cluster_port("bitbucket_api", port);
        }
        example.free_ports();
        example.leave_underscores_alone();
        example.set_module(&module(if setup.clock {
            "bitgate-test-hooks"
        } else {
            "bitgate"
        }));
        let envoy = Envoy::start(&example, setup.workers);
        Self {
            envoy,
            clock: setup.clock.then_some(around.clock),
            protocol: if setup.http2 {
                Protocol::Http2
            } else {
                Protocol::Http1
            },
            _servers: servers,
        }
    }
}

impl EnvoyEdge {
    fn exchange(&self, mut request: Request) -> Response {
        if let Some(clock) = &self.clock {
            let offset = clock.offset().to_string();
            request
                .headers_mut()
                .insert("x-bitgate-test-clock", offset.parse().unwrap());
        }
        if let Some(RawTarget(target)) = request.extensions().get() {
            return parsed(&self.envoy.send_raw(&written(&request, target)));
        }
        client::send_over(self.protocol, self.envoy.listener, request).expect("an answer of Envoy")
    }
}

impl EnvoyEdge {
    /// Sends all requests at once.
    pub fn send_all(&self, mut requests: Vec<Request>) -> Vec<Response> {
        if let Some(clock) = &self.clock {
            let offset = clock.offset().to_string();
            for request in &mut requests {
                let value = offset.parse().unwrap();
                request.headers_mut().insert("x-bitgate-test-clock", value);
            }
        }
        let answers = client::send_all(self.envoy.listener, requests).unwrap();
        answers
            .into_iter()
            .map(|answer| answer.expect("an answer of Envoy"))
            .collect()
    }
}

/// The request as bytes, with a target that may be anything.
fn written(request: &Request, target: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{} ", request.method()).into_bytes();
    bytes.extend(target);
    bytes.extend(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        bytes.extend(name.as_str().as_bytes());
        bytes.extend(b": ");
        bytes.extend(value.as_bytes());
        bytes.extend(b"\r\n");
    }
    bytes.extend(
        format!(
            "content-length: {}\r\nconnection: close\r\n\r\n",
            request.body().len()
        )
        .bytes(),
    );
    bytes.extend(request.body());
    bytes
}

/// The head of an answer; its body is not read.
fn parsed(head: &str) -> Response {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12));
    let status = status.unwrap_or_else(|| panic!("expected a status, but found {head:?}"));
    let mut response = http::Response::builder().status(status.parse::<u16>().unwrap());
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a header field");
        response = response.header(name, value);
    }
    response.body(Vec::new()).unwrap()
}

/// Shared by all cases of a group.
impl Edge for Arc<EnvoyEdge> {
    fn send(&mut self, request: Request) -> Response {
        self.exchange(request)
    }

    fn shared_data(&self) -> Option<String> {
        None
    }

    fn gauge(&mut self, name: &str) -> u64 {
        self.envoy.stat(&format!("wasmcustom.{name}"))
    }

    fn envoy(&self) -> Option<&Envoy> {
        Some(&self.envoy)
    }

    fn log(&mut self) -> Vec<String> {
        let text = self.envoy.log_text();
        text.lines()
            // As a site sees it, at the level info.
            .filter(|line| line.contains("wasm log") && !line.contains("[debug]"))
            .map(str::to_owned)
            .collect()
    }
}
