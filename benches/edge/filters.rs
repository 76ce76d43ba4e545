//! The filters that are compared, as their documentation says to configure them.

use std::sync::atomic::{AtomicUsize, Ordering};

use bitgate_simulator::server::{self, Running};
use serde_json::{Value, json};

use crate::browser::location;
use crate::choice;
use crate::rules;
use crate::site::{Filter, Plan};
use crate::support::envoy::module;
use crate::support::example::Example;
use crate::support::{Request, Response};

const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";

pub(crate) fn manager(example: &mut Example) -> &mut Value {
    &mut example.0["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

/// Puts a filter in the place of Bitgate.
fn replace(example: &mut Example, filter: Option<Value>) {
    let filters = manager(example)["http_filters"].as_array_mut().unwrap();
    let router = filters.pop().unwrap();
    filters.clear();
    filters.extend(filter);
    filters.push(router);
}

pub(crate) fn none(example: &mut Example) {
    replace(example, None);
}

pub(crate) fn floor(example: &mut Example, tokens: usize) {
    let wasm = &mut manager(example)["http_filters"][0]["typed_config"]["config"];
    wasm["name"] = json!("floor");
    wasm["vm_config"]["vm_id"] = json!("floor");
    example.set_plugin_text(&tokens.to_string());
    example.set_module(&module("bitgate-floor"));
}

pub(crate) fn bitgate(example: &mut Example, plan: &Plan) {
    let mut config = example.plugin();
    // Thousands sign in here within a minute.
    config["bitbucket"]["api_budget"] = json!(100_000);
    config["issuers"] =
        json!([{"bitbucket_pipelines": {"workspace": "acme", "workspace_uuid": ACME}}]);
    config["rules"] = match plan.rules {
        0 => rules::usual(),
        count => rules::many(count),
    };
    example.set_plugin(&config);
    let built = || module("bitgate");
    let other = choice::other().filter(|_| plan.filter == Filter::Other);
    example.set_module(&other.unwrap_or_else(built));
}

/// Envoy's own filter for people. Its cookies are encrypted and signed, as it does unless told otherwise.
pub(crate) fn oauth2(example: &mut Example, port: u16) {
    let secret = |name: &str, text: &str| json!({"name": name, "generic_secret": {"secret": {"inline_string": text}}});
    example.0["static_resources"]["secrets"] = json!([
        secret("token", "demo-secret"),
        secret("hmac", "dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktMDE="),
    ]);
    let mut clusters = example.0["static_resources"]["clusters"]
        .as_array()
        .unwrap()
        .clone();
    let mut provider = clusters[0].clone();
    provider["name"] = json!("provider");
    provider["load_assignment"]["cluster_name"] = json!("provider");
    clusters.push(provider);
    example.0["static_resources"]["clusters"] = json!(clusters);
    example.set_cluster_port("provider", port);
    let filter = json!({
        "name": "envoy.filters.http.oauth2",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.oauth2.v3.OAuth2",
            "config": {
                "token_endpoint": {"cluster": "provider", "uri": "http://127.0.0.1/token", "timeout": "5s"},
                "authorization_endpoint": "http://127.0.0.1:10001/authorize",
                "redirect_uri": "http://localhost:10000/callback",
                "redirect_path_matcher": {"path": {"exact": "/callback"}},
                "signout_path": {"path": {"exact": "/signout"}},
                "forward_bearer_token": true,
                "credentials": {
                    "client_id": "demo-consumer",
                    "token_secret": {"name": "token"},
                    "hmac_secret": {"name": "hmac"},
                },
                "auth_scopes": ["account"],
            },
        },
    });
    replace(example, Some(filter));
}

/// A provider for it: gives everybody an access token and a refresh token of so many characters.
pub(crate) fn token_endpoint(characters: usize) -> Running {
    let number = AtomicUsize::new(0);
    let answer = move |_, request: Request| {
        let mut form = form_urlencoded::parse(request.body());
        if form.any(|(name, value)| name == "grant_type" && value != "authorization_code") {
            // No token of a run gets so old, so whoever asks does it with something made up.
            let response = http::Response::builder().status(400);
            return response
                .body(br#"{"error": "invalid_grant"}"#.to_vec())
                .unwrap();
        }
        let number = number.fetch_add(1, Ordering::Relaxed);
        let token = |kind: &str| -> String {
            // As those of a provider look: hardly two of them have anything in common.
            let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
            let head = format!("{kind}{number}.");
            let tail = std::iter::repeat_with(|| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                char::from(
                    b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz0123456789"
                        [(state >> 33) as usize % 57],
                )
            });
            head.chars().chain(tail).take(characters).collect()
        };
        let document = json!({
            "access_token": token("a"),
            "refresh_token": token("r"),
            "expires_in": 86_400,
            "token_type": "bearer",
        });
        let response = http::Response::builder().header("content-type", "application/json");
        response.body(document.to_string().into_bytes()).unwrap()
    };
    server::spawn(([127, 0, 0, 1], 0).into(), answer).unwrap()
}

/// A provider that asks nobody anything. Gives the target of the callback.
pub(crate) fn answer_at_once(sent_away: &Response) -> String {
    let url = location(sent_away).unwrap();
    let (_, query) = url.split_once('?').unwrap();
    let state = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state");
    let mut answer = form_urlencoded::Serializer::new(String::new());
    answer
        .append_pair("code", "code")
        .append_pair("state", &state.unwrap().1);
    format!("/callback?{}", answer.finish())
}

/// Envoy's own filter for tokens.
pub(crate) fn jwt_authn(example: &mut Example, keys: &Value, cached: bool) {
    let mut provider = json!({
        "issuer": "http://127.0.0.1:10002/2.0/workspaces/acme/pipelines-config/identity/oidc",
        "local_jwks": {"inline_string": keys.to_string()},
        "forward": true,
    });
    if cached {
        provider["jwt_cache_config"] = json!({});
    }
    let filter = json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"pipelines": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "pipelines"}}],
        },
    });
    replace(example, Some(filter));
}
