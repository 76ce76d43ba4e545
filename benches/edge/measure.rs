//! Rounds, in which each row has its turn: what changes on the machine meanwhile is the same for all.

use std::path::Path;
use std::time::Duration;

use bitgate_simulator::client::Protocol;

use crate::choice::Choice;
use crate::load::{Load, Outcome};
use crate::process::cpu_nanoseconds;
use crate::row::Row;
use crate::stage::Stage;
use crate::verify::verify;

/// What no row needs to give an answer.
const LONGEST: Duration = Duration::from_secs(5);

/// A row's turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Microseconds of CPU time of the Envoy process for a request.
    pub(crate) cpu: f64,
    /// Requests in a second.
    pub(crate) rate: f64,
}

/// A row that is ready.
struct Ready {
    name: String,
    protocol: Protocol,
    at: usize,
    load: Load,
    status: u16,
}

/// Samples of a row, one for each round.
pub(crate) struct Measured {
    pub(crate) row: Row,
    /// Bytes of the first request's cookies.
    pub(crate) cookie_bytes: usize,
    pub(crate) samples: Vec<Sample>,
}

/// Every round has processes of its own: where one of them lies in memory makes it a fifth faster or slower than
/// the next one, for as long as it lives.
pub(crate) fn measure(rows: Vec<Row>, choice: &Choice, folder: &Path) -> Vec<Measured> {
    let measured = |row| Measured {
        row,
        cookie_bytes: 0,
        samples: Vec::new(),
    };
    let mut all: Vec<Measured> = rows.into_iter().map(measured).collect();
    for round in 0..choice.rounds {
        eprintln!("round {} of {}", round + 1, choice.rounds);
        let mut stage = Stage::default();
        let prepare = |one: &mut Measured| Ready::new(one, &mut stage, folder);
        let ready: Vec<Ready> = all.iter_mut().map(prepare).collect();
        if choice.rounds > 1 {
            for one in &ready {
                one.turn(&stage, choice.time / 4);
            }
        }
        for at in 0..ready.len() {
            // There and back again, so that no row always comes after the same one.
            let at = if round % 2 == 0 {
                at
            } else {
                ready.len() - 1 - at
            };
            all[at].samples.push(ready[at].turn(&stage, choice.time));
        }
    }
    all
}

impl Ready {
    fn new(one: &mut Measured, stage: &mut Stage, folder: &Path) -> Self {
        let row = &one.row;
        let traffic = (row.prepare)(stage);
        let at = stage.site(&traffic.plan);
        verify(row, &traffic, &stage.sites[at]);
        let cookies = traffic.requests[0].headers().get("cookie");
        one.cookie_bytes = cookies.map_or(0, |value| value.len());
        Self {
            name: row.name.clone(),
            protocol: row.protocol,
            at,
            load: Load::new(folder, &row.name, &traffic.requests),
            status: traffic.status,
        }
    }

    fn turn(&self, stage: &Stage, time: Duration) -> Sample {
        let envoy = &stage.sites[self.at].envoy;
        let before = cpu_nanoseconds(envoy.id());
        let outcome = match self.protocol {
            Protocol::Http1 => self.load.over_http1(envoy.listener, time),
            Protocol::Http2 => self.load.over_http2(envoy.listener, time),
        };
        let used = cpu_nanoseconds(envoy.id()) - before;
        if outcome.requests == 0 && time < LONGEST {
            // A busy machine had not even begun.
            return self.turn(stage, 2 * time);
        }
        self.check(&outcome);
        let requests = outcome.requests as f64;
        Sample {
            cpu: used as f64 / requests / 1e3,
            rate: requests / outcome.seconds,
        }
    }

    fn check(&self, outcome: &Outcome) {
        let name = &self.name;
        assert!(outcome.requests > 0, "{name}: no answer");
        assert_eq!(outcome.broken, 0, "{name}: {outcome:?}");
        let expected = if self.status < 400 {
            0
        } else {
            outcome.requests
        };
        assert_eq!(outcome.not_below_400, expected, "{name}: {outcome:?}");
    }
}
