//! Tokens of callers, right ones and wrong ones, and a site that takes the right ones.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bitgate_simulator::bitbucket::SigningKey;
use p256::ecdsa::signature::Signer;
use serde_json::{Value, json};

use super::case::{empty, get};
use crate::support::browser::header;
use crate::support::control::control;
use crate::support::setup::Setup;
use crate::support::world::World;
use crate::support::{Request, Response};

pub const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";
pub const WIDGETS: &str = "{99cc0000-1111-4222-8333-444455556666}";
pub const PRODUCTION: &str = "{de910000-1111-4222-8333-444455556666}";
pub const KEYS: &str = "/2.0/workspaces/acme/pipelines-config/identity/oidc/keys.json";

/// The issuer whose keys are in the configuration.
pub const IDP: &str = "https://idp.example.com";

/// The name of the first key of Pipelines, and of the RSA key of [`IDP`] as well.
pub const KID: &str = "sim-oidc-1";

/// What must be a caller: either of the two issuers' tokens will do.
pub const SERVICE: &str = "/service";

pub fn site() -> Setup {
    Setup {
        config,
        ..Setup::default()
    }
}

pub fn site_with_clock() -> Setup {
    Setup {
        clock: true,
        ..site()
    }
}

fn config(config: &mut Value) {
    config["issuers"] = json!([
        {"bitbucket_pipelines": {"workspace": "acme", "workspace_uuid": ACME}},
        {
            "issuer": IDP,
            "jwks": {"keys": [idp_key().jwk(), ec_jwk("ec"), p384_jwk()]},
            "audiences": ["bitgate"],
            "algorithms": ["RS256", "ES256", "ES384"],
        },
    ]);
    let rule = |path: &str, allow: Value| json!({"match": {"path": path}, "allow": allow});
    let step = |more: Value| {
        let mut condition = json!({"workspace": "acme"});
        let members = more.as_object().unwrap().clone();
        condition.as_object_mut().unwrap().extend(members);
        json!({"pipeline": condition})
    };
    config["rules"] = json!([
        rule("/public/**", json!("public")),
        rule("/people/**", json!("signed_in")),
        rule("/widgets", step(json!({"repository": WIDGETS}))),
        rule("/main", step(json!({"branch": "main"}))),
        rule("/release", step(json!({"branch": "release/*"}))),
        rule(
            "/production",
            step(json!({"deployment_environment": PRODUCTION}))
        ),
        rule(
            "/**",
            json!({"any_of": [{"principal": "pipeline"}, {"principal": "bot"}]})
        ),
    ]);
}

pub fn pipelines_key(world: &World) -> SigningKey {
    world.bitbucket().pipelines_key()
}

pub fn idp_key() -> SigningKey {
    SigningKey::foreign().called(KID)
}

pub fn ec_key() -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap()
}

fn ec_jwk(kid: &str) -> Value {
    let point = ec_key().verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": encoded(x), "y": encoded(y)})
}

fn p384_jwk() -> Value {
    let key = p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap();
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = point.as_bytes()[1..].split_at(48);
    json!({"kty": "EC", "crv": "P-384", "kid": "ec384", "x": encoded(x), "y": encoded(y)})
}

/// What the token of a step says.
pub fn step_claims(world: &World) -> Value {
    let step = json!({"workspace": "acme", "repository": "widgets", "branch": "main"});
    control(world, "pipelines/tokens", &step)["claims"].clone()
}

/// What a token of [`IDP`] says.
pub fn idp_claims(world: &World) -> Value {
    let now = world.around.clock.now();
    json!({"iss": IDP, "aud": "bitgate", "sub": "ci", "iat": now, "exp": now + 600})
}

pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

pub fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// Signed by Pipelines.
pub fn step_token(world: &World, claims: &Value) -> String {
    world.bitbucket().sign_as_pipelines(claims)
}

/// A good one.
pub fn good(world: &World) -> String {
    step_token(world, &step_claims(world))
}

pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What is signed; neither part has to be JSON.
pub fn input(header: impl ToString, payload: impl ToString) -> String {
    let (header, payload) = (header.to_string(), payload.to_string());
    format!("{}.{}", encoded(header), encoded(payload))
}

pub fn ec_header() -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": "ec"})
}

/// Signed with the key "ec", whatever the header says.
pub fn ec_signature(input: &str) -> p256::ecdsa::Signature {
    ec_key().sign(input.as_bytes())
}

pub fn ec_token(header: impl ToString, payload: impl ToString) -> String {
    let input = input(header, payload);
    let signature = ec_signature(&input).to_bytes();
    format!("{input}.{}", encoded(signature))
}

pub fn request(path: &str, authorization: &str) -> Request {
    empty(get(path).header("authorization", authorization))
}

pub fn bearer(world: &mut World, path: &str, token: &str) -> Response {
    world.send(request(path, &format!("Bearer {token}")))
}

#[track_caller]
pub fn accepted(world: &mut World, token: &str) {
    let answer = bearer(world, SERVICE, token);
    let why = super::case::reason(&answer).to_owned();
    assert_eq!((answer.status().as_u16(), why.as_str()), (200, ""));
    let got = world.upstream().last_request().unwrap().clone();
    assert_eq!(got.header("authorization"), None);
    assert_eq!(got.header("x-forwarded-user"), None);
}

/// 401 as RFC 6750 section 3.1 has it; nobody was asked for anything, and the service got nothing.
#[track_caller]
pub fn rejected(world: &mut World, token: &str) {
    let calls = world.bitbucket_calls();
    refused(world, request(SERVICE, &format!("Bearer {token}")));
    assert_eq!(world.bitbucket_calls(), calls, "{token:.300}");
}

#[track_caller]
pub fn refused(world: &mut World, request: Request) {
    let shown = String::from_utf8_lossy(request.headers()["authorization"].as_bytes()).into_owned();
    let seen = world.upstream().count();
    let answer = world.send(request);
    assert_eq!(answer.status(), 401, "{shown:.300}");
    let challenge = header(&answer, "www-authenticate");
    let is_challenge =
        challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\"");
    assert!(is_challenge, "{challenge} {shown:.300}");
    assert_eq!(world.upstream().count(), seen, "{shown:.300}");
}
