//! The real module in a real Envoy, with the simulators as servers.

use std::sync::Arc;

use bitgate_simulator::client;
use bitgate_simulator::server::{self, Running};

use super::envoy::{Envoy, module};
use super::example::Example;
use super::world::Surroundings;
use super::{Edge, Request, Response};

pub struct EnvoyEdge {
    pub envoy: Envoy,
    clock: Option<super::world::Clock>,
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
    pub fn start(mut example: Example, clock: bool, around: Surroundings) -> Self {
        let servers = connect(&mut example, &around);
        example.free_ports();
        example.set_module(&module(if clock {
            "bitgate-test-hooks"
        } else {
            "bitgate"
        }));
        let envoy = Envoy::start(&example, 1);
        Self {
            envoy,
            clock: clock.then_some(around.clock),
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
        client::send(self.envoy.listener, request).expect("an answer of Envoy")
    }

    fn log(&mut self) -> Vec<String> {
        let text = self.envoy.log_text();
        text.lines()
            .filter(|line| line.contains("wasm log"))
            .map(str::to_owned)
            .collect()
    }
}
