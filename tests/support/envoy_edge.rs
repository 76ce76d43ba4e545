//! The real module in a real Envoy, with the simulators as servers.

use std::sync::Arc;

use bitgate_simulator::client::{self, Protocol};
use bitgate_simulator::server::{self, Running};

use super::envoy::{Envoy, module};
use super::example::Example;
use super::setup::Setup;
use super::world::Surroundings;
use super::{Edge, Request, Response};

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
        example.set_module(&module(if setup.clock {
            "bitgate-test-hooks"
        } else {
            "bitgate"
        }));
        let envoy = Envoy::start(&example, 1);
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

impl Edge for EnvoyEdge {
    fn send(&mut self, mut request: Request) -> Response {
        if let Some(clock) = &self.clock {
            let offset = clock.offset().to_string().parse().unwrap();
            request.headers_mut().insert("x-bitgate-test-clock", offset);
        }
        client::send_over(self.protocol, self.envoy.listener, request).expect("an answer of Envoy")
    }

    fn log(&mut self) -> Vec<String> {
        let text = self.envoy.log_text();
        text.lines()
            .filter(|line| line.contains("wasm log"))
            .map(str::to_owned)
            .collect()
    }
}
