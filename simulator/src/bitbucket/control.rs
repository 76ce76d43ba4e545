//! `/_simulator/…`: what tests ask the simulator as a process. No part of Bitbucket.
//!
//! ```text
//! GET    /_simulator/ledger     what was asked so far
//! DELETE /_simulator/ledger     forget it
//! PUT    /_simulator/settings   {"mode": "legacy", "token_length": 6000, "access_lifetime": 60, …}
//! POST   /_simulator/faults     {"path": "/2.0/user", "times": 1, "status": 503}
//!                               or "wire": "hang", "reset", or "slow" with "milliseconds"
//! ```

use serde_json::{Value, json};

use crate::bitbucket::{Bitbucket, Entry, Fault, FaultResponse, Mode};
use crate::{Request, Response, json};

impl Bitbucket {
    pub(super) fn control(&mut self, request: &Request) -> Response {
        let document = serde_json::from_slice::<Value>(request.body()).unwrap_or_default();
        match (request.method().as_str(), request.uri().path()) {
            ("GET", "/_simulator/ledger") => {
                let entries: Vec<Value> = self.ledger().iter().map(Entry::to_json).collect();
                json(200, &entries.into())
            }
            ("DELETE", "/_simulator/ledger") => {
                self.ledger.clear();
                json(200, &json!({}))
            }
            ("PUT", "/_simulator/settings") => match self.set(&document) {
                Ok(()) => json(200, &json!({})),
                Err(name) => json(
                    400,
                    &json!({"error": format!("expected a known setting, but found {name}")}),
                ),
            },
            ("POST", "/_simulator/faults") => match fault(&document) {
                Some(fault) => {
                    self.fail_next(fault);
                    json(200, &json!({}))
                }
                None => json(400, &json!({"error": "expected path, and status or wire"})),
            },
            _ => json(404, &json!({"error": "no such control"})),
        }
    }

    fn set(&mut self, document: &Value) -> Result<(), String> {
        let Some(members) = document.as_object() else {
            return Err("no object".to_owned());
        };
        let settings = &mut self.settings;
        for (name, value) in members {
            let number = value.as_u64();
            match (name.as_str(), value.as_str(), number) {
                ("mode", Some("migrated"), _) => settings.mode = Mode::Migrated,
                ("mode", Some("legacy"), _) => settings.mode = Mode::Legacy,
                ("token_length", _, _) => {
                    settings.token_length = number.and_then(|number| usize::try_from(number).ok());
                }
                ("access_lifetime", _, Some(number)) => settings.access_lifetime = number,
                ("reuse_window", _, Some(number)) => settings.reuse_window = number,
                ("lock_out", _, Some(number)) => settings.lock_out = number,
                ("latency_ms", _, Some(number)) => settings.latency_ms = number,
                _ => return Err(name.clone()),
            }
        }
        Ok(())
    }
}

fn fault(document: &Value) -> Option<Fault> {
    let number = |name: &str| document[name].as_u64();
    let response = match (document["wire"].as_str(), number("status")) {
        (Some("hang"), _) => FaultResponse::Hang,
        (Some("reset"), _) => FaultResponse::Reset,
        (Some("slow"), _) => FaultResponse::Slow(number("milliseconds")?),
        (Some(_), _) | (None, None) => return None,
        (None, Some(status)) => {
            let status = u16::try_from(status).ok()?;
            match document["body"].as_str() {
                None => FaultResponse::Status(status),
                Some(body) => {
                    let content_type = document["content_type"].as_str().unwrap_or("text/html");
                    FaultResponse::Raw {
                        status,
                        headers: vec![("content-type", content_type.to_owned())],
                        body: body.as_bytes().to_vec(),
                    }
                }
            }
        }
    };
    let times = number("times").unwrap_or(1);
    Some(Fault {
        path: document["path"].as_str()?.to_owned(),
        times: usize::try_from(times).ok()?,
        response,
    })
}
