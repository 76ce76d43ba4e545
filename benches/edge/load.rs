//! Load on an Envoy: wrk for HTTP/1.1, h2load for HTTP/2.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::Request;
use crate::support::example::root;

/// Enough that Envoy's worker always has something to do.
const CONNECTIONS: u32 = 32;

/// Of HTTP/2: four connections with eight requests on each.
const H2_CONNECTIONS: &str = "4";
const H2_STREAMS: &str = "8";

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// Answers of status 400 and above.
    pub(crate) not_below_400: u64,
    /// Connections that broke, and requests without an answer.
    pub(crate) broken: u64,
    /// Microseconds until an answer; of HTTP/1.1 only.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
}

/// Which request comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// One after the other.
    AsGiven,
    /// By chance: a fifth of them gets four fifths of the load.
    Skewed,
}

/// Requests that a load generator sends again and again.
pub(crate) struct Load {
    requests: PathBuf,
    /// The arguments of h2load, which sends one and the same request.
    h2: Vec<String>,
}

impl Load {
    /// Of requests that are sent in this order.
    pub(crate) fn new(folder: &Path, name: &str, requests: &[Request]) -> Self {
        let mut file = Vec::new();
        for request in requests {
            let bytes = written(request);
            file.extend(format!("{}\n", bytes.len()).into_bytes());
            file.extend(bytes);
        }
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let path = folder.join(format!("{name}.requests"));
        fs::write(&path, file).unwrap();
        let mut h2 = Vec::new();
        for (name, value) in requests[0].headers() {
            let name = if name == "host" {
                ":authority"
            } else {
                name.as_str()
            };
            h2.extend([
                "-H".to_owned(),
                format!("{name}: {}", value.to_str().unwrap_or_default()),
            ]);
        }
        h2.push(requests[0].uri().path().to_owned());
        Self { requests: path, h2 }
    }

    /// One thread of wrk.
    pub(crate) fn over_http1(&self, address: SocketAddr, time: Duration) -> Outcome {
        self.with_wrk(address, time, CONNECTIONS, Order::AsGiven)
    }

    /// With so many connections, and in an order of choice.
    pub(crate) fn with_wrk(
        &self,
        address: SocketAddr,
        time: Duration,
        connections: u32,
        order: Order,
    ) -> Outcome {
        let mut command = Command::new("wrk");
        command
            .args(["--threads", "1", "--timeout", "30s", "--connections"])
            .arg(connections.to_string())
            .arg("--duration")
            .arg(format!("{}s", time.as_secs().max(1)))
            .arg("--script")
            .arg(root().join("benches/edge/wrk.lua"))
            .arg(format!("http://{address}/"))
            .env("BITGATE_BENCH_REQUESTS", &self.requests)
            .stdout(Stdio::piped());
        if order == Order::Skewed {
            command.env("BITGATE_BENCH_SKEWED", "1");
        }
        let wrk = command.spawn().expect("wrk: run scripts/debian-tools wrk");
        if time.as_secs() == 0 {
            // wrk knows whole seconds, and stops early on SIGINT.
            std::thread::sleep(time);
            let kill = Command::new("kill")
                .args(["-INT", &wrk.id().to_string()])
                .status();
            assert!(kill.unwrap().success(), "wrk cannot be stopped");
        }
        let output = wrk.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("result ")) else {
            // It was stopped before it began.
            return Outcome::default();
        };
        let result: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| result[name].as_u64().unwrap();
        Outcome {
            requests: number("requests"),
            seconds: number("microseconds") as f64 / 1e6,
            not_below_400: number("not_below_400"),
            broken: number("broken"),
            p50: number("p50"),
            p99: number("p99"),
        }
    }

    /// One thread of h2load.
    pub(crate) fn over_http2(&self, address: SocketAddr, time: Duration) -> Outcome {
        let (path, headers) = self.h2.split_last().unwrap();
        let output = Command::new("h2load")
            .args(["--threads", "1", "--clients", H2_CONNECTIONS])
            .args(["--max-concurrent-streams", H2_STREAMS])
            .arg("--duration")
            .arg(format!("{}ms", time.as_millis()))
            .args(headers)
            .arg(format!("http://{address}{path}"))
            .output()
            .expect("h2load: run scripts/debian-tools h2load");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = |start: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(start));
            found.unwrap_or_else(|| panic!("expected {start} of h2load, but found {text:?}"))
        };
        let count = |line: &str, what: &str| -> u64 {
            let part = line
                .split(", ")
                .find_map(|part| part.trim().strip_suffix(what));
            part.and_then(|number| number.trim().parse().ok())
                .unwrap_or(0)
        };
        let (requests, statuses) = (line("requests: "), line("status codes: "));
        Outcome {
            requests: ["2xx", "3xx", "4xx", "5xx"]
                .iter()
                .map(|what| count(statuses, what))
                .sum(),
            seconds: time.as_secs_f64(),
            not_below_400: count(statuses, "4xx") + count(statuses, "5xx"),
            broken: count(requests, "errored") + count(requests, "timeout"),
            ..Outcome::default()
        }
    }
}

/// A request as bytes.
pub(crate) fn written(request: &Request) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes
}
