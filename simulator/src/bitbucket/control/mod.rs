//! `/_simulator/…`: what tests ask the simulator as a process. No part of Bitbucket.
//!
//! ```text
//! GET    /_simulator/ledger      what was asked so far
//! DELETE /_simulator/ledger      forget it
//! GET    /_simulator/calls       how often, by the kind of the path and the status of the answer
//! PUT    /_simulator/settings    {"mode": "legacy", "token_length": 6000, "access_lifetime": 60, …}
//!                                "api_limit": calls an hour (0: no limit), "retry_after": seconds
//!                                of a 429 (null: not said), "non_member": "forbidden" or "not_found",
//!                                "paging": "counted", "numbered" or "opaque", "row_account_ids": false
//!                                "anonymous_limit", "git_limit": as api_limit; "media_host": "host:port",
//!                                "app_password_status": 410 or 401, "lfs_challenge": 401 or 403,
//!                                "lfs_takes_oauth": false
//! POST   /_simulator/faults      {"path": "/2.0/user", "times": 1, "status": 503}
//!                                or "wire": "hang", "reset", or "slow" with "milliseconds"
//! POST   /_simulator/members     {"workspace": "acme", "account_id": "557058:…", "role": "owner"}
//!                                or "member", "collaborator", or null: nothing, with all permissions
//! POST   /_simulator/permissions {"workspace": "acme", "repository": "widgets",
//!                                "account_id": "557058:…", "permission": "read"}
//!                                or "write", "admin", or null
//!
//! DELETE /_simulator/faults      none of those that are still to come
//!
//! POST   /_simulator/access_tokens  {"workspace": "acme", "scopes": ["repository"]} → {"token": "ATCT…"}
//!                                   with "project" (a key) or "repository" for one of those;
//!                                   "is_admin", "lifetime" in seconds, "api_limit", "token"
//! POST   /_simulator/api_tokens     {"account_id": "557058:…", "scopes": ["read:user:bitbucket"]}
//!                                   → {"token": "ATAT…"}; "lifetime", "token"
//! PUT    /_simulator/tokens         {"token": "…", "lifetime": 60} of whichever kind; 0: it is expired
//! DELETE /_simulator/tokens         {"token": "…"} revokes it, of whichever kind
//! POST   /_simulator/consumers      {"client_id": "bot", "client_secret": "…", "scopes": [], …} adds one,
//!                                   or changes it: "callback", "private", "workspace"
//!
//! POST   /_simulator/pipelines         {"workspace": "acme", "ran": true} with OIDC: there are discovery and keys
//! POST   /_simulator/pipelines/tokens  {"workspace": "acme", "repository": "widgets"} → {"token": "…", "claims": {…}}
//!                                      "branch", "deployment_environment": {"name": …, "uuid": …},
//!                                      "audiences": [], "lifetime", "iat", "nbf", "exp": seconds after now;
//!                                      wrong ones: "claims" and "header" with members to set (null: none),
//!                                      "signature": "foreign", "hmac", "none" or the id of a key
//! GET    /_simulator/pipelines/keys    [{"kid": …, "published": true, "signs": true}]
//! POST   /_simulator/pipelines/keys    {"published": true, "signs": true} adds a key → {"kid": …}
//! PUT    /_simulator/pipelines/keys    {"kid": …, "published": false, "signs": true}
//! ```
//!
//! Workspaces and repositories are named by their slugs or their UUIDs.

mod credentials;
mod pipelines;

use serde_json::{Value, json};

use crate::bitbucket::{
    Bitbucket, Entry, Fault, FaultResponse, Mode, NonMember, Paging, Permission, Role,
};
use crate::{Request, Response, json};

impl Bitbucket {
    pub(super) fn control(&mut self, now: u64, request: &Request) -> Response {
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
            ("GET", "/_simulator/calls") => {
                let calls = self.calls().iter();
                let calls: Vec<Value> = calls
                    .map(|((kind, status), count)| {
                        json!({"kind": kind, "status": status, "count": count})
                    })
                    .collect();
                let credentials = self.credentials().iter();
                let credentials: Vec<Value> = credentials
                    .map(|((kind, status), count)| {
                        json!({"credential": kind.as_str(), "status": status, "count": count})
                    })
                    .collect();
                let document = json!({
                    "calls": calls,
                    "credentials": credentials,
                    "rate_limited": self.rate_limited(),
                });
                json(200, &document)
            }
            ("POST", "/_simulator/members") => changed(self.set_member(&document)),
            ("POST", "/_simulator/permissions") => changed(self.permit(&document)),
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
            ("DELETE", "/_simulator/faults") => {
                self.forgive();
                json(200, &json!({}))
            }
            (method, path) => match self.control_machines(now, method, path, &document) {
                Some(Ok(answer)) => json(200, &answer),
                Some(Err(error)) => json(400, &json!({"error": error})),
                None => json(404, &json!({"error": "no such control"})),
            },
        }
    }

    /// What machines come with. `None` if there is no such control.
    fn control_machines(
        &mut self,
        now: u64,
        method: &str,
        path: &str,
        document: &Value,
    ) -> Option<Result<Value, String>> {
        Some(match (method, path) {
            ("POST", "/_simulator/access_tokens") => self.create_access_token(now, document),
            ("POST", "/_simulator/api_tokens") => self.create_api_token(now, document),
            ("POST", "/_simulator/consumers") => self.create_consumer(document),
            ("PUT", "/_simulator/tokens") => self.limit_token(now, document),
            ("DELETE", "/_simulator/tokens") => self.delete_token(document),
            ("POST", "/_simulator/pipelines") => self.set_pipelines(document),
            ("POST", "/_simulator/pipelines/tokens") => self.create_step_token(now, document),
            ("GET", "/_simulator/pipelines/keys") => Ok(self.keys_to_json()),
            ("POST", "/_simulator/pipelines/keys") => self.create_key(document),
            ("PUT", "/_simulator/pipelines/keys") => self.change_key(document),
            _ => return None,
        })
    }

    fn set_member(&mut self, document: &Value) -> Result<(), String> {
        let [workspace, account_id] = texts(document, ["workspace", "account_id"])?;
        let role = word(document, "role", Role::read)?;
        let directory = &mut self.settings.directory;
        let made = directory.set_role(workspace, account_id, role);
        made.map_err(|refused| refused.to_string())
    }

    fn permit(&mut self, document: &Value) -> Result<(), String> {
        let names = ["workspace", "repository", "account_id"];
        let [workspace, repository, account_id] = texts(document, names)?;
        let permission = word(document, "permission", Permission::read)?;
        let made = self.set_permission(workspace, repository, account_id, permission);
        made.map_err(|refused| refused.to_string())
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
                ("api_limit", _, Some(_)) => settings.api_limit = number,
                ("api_limit", _, None) if value.is_null() => settings.api_limit = None,
                ("anonymous_limit", _, _) => settings.anonymous_limit = number,
                ("git_limit", _, _) => settings.git_limit = number,
                ("app_password_status", _, Some(401)) => settings.app_password_status = 401,
                ("app_password_status", _, Some(410)) => settings.app_password_status = 410,
                ("lfs_challenge", _, Some(401)) => settings.lfs_challenge = 401,
                ("lfs_challenge", _, Some(403)) => settings.lfs_challenge = 403,
                ("lfs_takes_oauth", _, _) if value.is_boolean() => {
                    settings.lfs_takes_oauth = value == true;
                }
                ("media_host", Some(host), _) => host.clone_into(&mut settings.media_host),
                ("retry_after", _, Some(_)) => settings.retry_after = number,
                ("retry_after", _, None) if value.is_null() => settings.retry_after = None,
                ("non_member", Some("forbidden"), _) => settings.non_member = NonMember::Forbidden,
                ("non_member", Some("not_found"), _) => settings.non_member = NonMember::NotFound,
                ("paging", Some("counted"), _) => settings.paging = Paging::Counted,
                ("paging", Some("numbered"), _) => settings.paging = Paging::Numbered,
                ("paging", Some("opaque"), _) => settings.paging = Paging::Opaque,
                ("row_account_ids", _, _) if value.is_boolean() => {
                    settings.row_account_ids = value == true;
                }
                _ => return Err(name.clone()),
            }
        }
        Ok(())
    }
}

fn changed(made: Result<(), String>) -> Response {
    match made {
        Ok(()) => json(200, &json!({})),
        Err(error) => json(400, &json!({"error": error})),
    }
}

fn texts<'d, const N: usize>(
    document: &'d Value,
    names: [&str; N],
) -> Result<[&'d str; N], String> {
    let mut texts = [""; N];
    for (text, name) in texts.iter_mut().zip(names) {
        *text = document[name]
            .as_str()
            .ok_or_else(|| format!("expected {name}"))?;
    }
    Ok(texts)
}

/// A number of seconds, or another one that may be missing.
fn number(document: &Value, name: &str) -> Result<Option<u64>, String> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(format!("expected {name} to be a number")),
        },
    }
}

/// A text that may be missing.
fn text(document: &Value, name: &str) -> Result<Option<String>, String> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("expected {name} to be a text")),
    }
}

/// A yes or no that may be missing.
fn flag(document: &Value, name: &str) -> Result<Option<bool>, String> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(format!("expected {name} to be true or false")),
    }
}

/// A list of texts that may be missing.
fn list(document: &Value, name: &str) -> Result<Option<Vec<String>>, String> {
    let wrong = || format!("expected {name} to be a list of texts");
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(values)) => {
            let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
            let texts: Option<Vec<String>> = texts.collect();
            texts.map(Some).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

/// A word that has to be there, if only as null.
fn word<T>(
    document: &Value,
    name: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    match document.get(name) {
        Some(Value::Null) => Ok(None),
        Some(Value::String(word)) => match read(word) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("expected a known {name}, but found {word}")),
        },
        Some(_) | None => Err(format!("expected {name}, or null")),
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bitbucket::Settings;

    pub(in crate::bitbucket) fn control(
        bitbucket: &mut Bitbucket,
        method: &str,
        name: &str,
        body: &Value,
    ) -> (u16, Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/_simulator/{name}"))
            .body(body.to_string().into_bytes());
        let answer = bitbucket.handle(0, &request.unwrap());
        (
            answer.status().as_u16(),
            serde_json::from_slice(answer.body()).unwrap(),
        )
    }

    #[test]
    fn people_come_and_go() {
        let mut bitbucket = Bitbucket::new(Settings::default());
        let eve = "557058:eve";
        let member = |role| json!({"workspace": "acme", "account_id": eve, "role": role});
        for role in ["member", "owner", "collaborator"] {
            let answer = control(&mut bitbucket, "POST", "members", &member(json!(role)));
            assert_eq!(answer, (200, json!({})));
            assert_eq!(bitbucket.role_of(eve, "acme"), Role::read(role));
        }
        let permission = |permission| {
            json!({
                "workspace": "{77aa0000-1111-4222-8333-444455556666}",
                "repository": "secrets", "account_id": eve, "permission": permission,
            })
        };
        for word in ["read", "admin", "write"] {
            let body = permission(json!(word));
            assert_eq!(control(&mut bitbucket, "POST", "permissions", &body).0, 200);
            let expected = Permission::read(word);
            assert_eq!(bitbucket.permission_of(eve, "acme", "secrets"), expected);
        }
        control(
            &mut bitbucket,
            "POST",
            "permissions",
            &permission(Value::Null),
        );
        assert_eq!(bitbucket.role_of(eve, "acme"), None);
        control(&mut bitbucket, "POST", "members", &member(json!("member")));
        control(&mut bitbucket, "POST", "members", &member(Value::Null));
        assert_eq!(bitbucket.role_of(eve, "acme"), None);
        for (name, body) in [
            ("members", json!({})),
            ("members", json!({"workspace": "acme", "account_id": eve})),
            ("members", member(json!("admin"))),
            ("members", member(json!(1))),
            (
                "members",
                json!({"workspace": "nobody", "account_id": eve, "role": "member"}),
            ),
            ("permissions", permission(json!("owner"))),
            (
                "permissions",
                json!({"workspace": "acme", "account_id": eve, "permission": null}),
            ),
            (
                "permissions",
                json!({"workspace": "acme", "repository": "x", "account_id": eve, "permission": null}),
            ),
        ] {
            let (status, answer) = control(&mut bitbucket, "POST", name, &body);
            assert!(status == 400 && answer["error"].is_string(), "{body}");
        }
    }

    #[test]
    fn knobs_turn_and_calls_are_told() {
        let mut bitbucket = Bitbucket::new(Settings::default());
        let body = json!({
            "api_limit": 1, "retry_after": 7, "non_member": "not_found", "paging": "opaque",
            "row_account_ids": false,
        });
        assert_eq!(control(&mut bitbucket, "PUT", "settings", &body).0, 200);
        let settings = &bitbucket.settings;
        assert_eq!(
            (settings.api_limit, settings.retry_after),
            (Some(1), Some(7))
        );
        assert_eq!(
            (settings.non_member, settings.paging),
            (NonMember::NotFound, Paging::Opaque)
        );
        assert!(!settings.row_account_ids);
        let request = http::Request::get("/2.0/workspaces/acme")
            .header("host", "127.0.0.1:10002")
            .header("authorization", "Bearer ATCTT3xFfGN0-demo-workspace-token");
        let request = request.body(Vec::new()).unwrap();
        assert_eq!(bitbucket.handle(0, &request).status(), 200);
        assert_eq!(bitbucket.handle(0, &request).status(), 429);
        let (_, calls) = control(&mut bitbucket, "GET", "calls", &Value::Null);
        let call = |status| {
            let kind = "/2.0/workspaces/{workspace}";
            json!({"kind": kind, "status": status, "count": 1})
        };
        let credential =
            |status| json!({"credential": "access_token", "status": status, "count": 1});
        let expected = json!({
            "calls": [call(200), call(429)],
            "credentials": [credential(200), credential(429)],
            "rate_limited": 1,
        });
        assert_eq!(calls, expected);
        let body = json!({"api_limit": null, "retry_after": null});
        assert_eq!(control(&mut bitbucket, "PUT", "settings", &body).0, 200);
        assert_eq!(bitbucket.settings.api_limit, None);
        assert_eq!(bitbucket.settings.retry_after, None);
        for body in [
            json!({"api_limit": "many"}),
            json!({"retry_after": true}),
            json!({"paging": "none"}),
            json!({"non_member": null}),
            json!({"row_account_ids": "no"}),
        ] {
            assert_eq!(
                control(&mut bitbucket, "PUT", "settings", &body).0,
                400,
                "{body}"
            );
        }
    }
}
