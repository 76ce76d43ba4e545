//! The configuration of the site.

use serde_json::{Value, json};

use super::bitbucket::{REPOSITORY, WORKSPACE};
use super::other_rules::other;

/// The path that the last of [`rules`] is for.
pub const SIGNED_IN: &str = "/app/dashboard/index.html";
/// A path whose rule asks for rights.
pub const RIGHTS: &str = "/artifacts/acme/widgets/dist/app.js";
/// A path for steps of pipelines.
pub const PIPELINE: &str = "/builds/widgets/main";
/// A path for everybody.
pub const PUBLIC: &str = "/assets/logo.svg";

/// A site with `count` rules.
pub fn config(count: usize) -> Value {
    json!({
        "public_url": "http://localhost:10000",
        "bitbucket": {
            "client_id": "demo-consumer",
            "client_secret": {"inline": "demo-secret"},
            "scopes": ["account", "email", "repository"],
            "web": {"cluster": "bitbucket_web", "url": "http://127.0.0.1:10001"},
            "api": {"cluster": "bitbucket_api", "url": "http://127.0.0.1:10002"},
        },
        "session": {"keys": [{"kid": "demo", "key": {"env": "BITGATE_SESSION_KEY"}}]},
        "workspaces": {"acme": WORKSPACE},
        "bots": {"reader": {"access_token": {"inline": "ATCT-of-the-bot-of-benchmarks-0001"}}},
        "issuers": [{"bitbucket_pipelines": {"workspace": "acme", "workspace_uuid": WORKSPACE}}],
        "rules": rules(count),
    })
}

/// Rules of the kinds that sites have, and at the end those that the requests meet.
fn rules(count: usize) -> Vec<Value> {
    let met = [
        json!({"match": {"path": "/assets/**"}, "allow": "public"}),
        json!({
            "match": {"path": "/builds/{repo}/**"},
            "allow": {"pipeline": {"repository": REPOSITORY, "branch": "main"}},
            "inject": {"bot": "reader"},
        }),
        json!({
            "match": {"path": "/artifacts/{workspace}/{repo}/**"},
            "allow": {"repository": "{workspace}/{repo}", "permission": "by_method"},
            "inject": "bearer",
        }),
        json!({"match": {"path": "/app/**"}, "allow": "signed_in", "inject": "bearer"}),
    ];
    let left_out = met.len().saturating_sub(count);
    let others = (met.len()..count).map(other);
    others.chain(met.into_iter().skip(left_out)).collect()
}
