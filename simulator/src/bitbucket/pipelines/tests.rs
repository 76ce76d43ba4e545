use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::bitbucket::control::tests::control;
use crate::bitbucket::{Fault, FaultResponse, Settings};

const API: &str = "127.0.0.1:10002";
const OIDC: &str = "/2.0/workspaces/acme/pipelines-config/identity/oidc";
const NOW: u64 = 1_795_000_000;

fn get(bitbucket: &mut Bitbucket, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let mut request = http::Request::get(path).header("host", API);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = bitbucket.handle(NOW, &request.body(Vec::new()).unwrap());
    let document = serde_json::from_slice(answer.body()).unwrap_or_default();
    (answer.status().as_u16(), document)
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Whether a key of a published set signed the token.
fn is_signed_by(keys: &Value, token: &str) -> bool {
    let (text, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let kid = part(token, 0)["kid"].clone();
    let mut keys = keys["keys"].as_array().unwrap().iter();
    let Some(key) = keys.find(|key| key["kid"] == kid) else {
        return false;
    };
    let number = |name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        BigUint::from_bytes_be(&bytes)
    };
    let key = RsaPublicKey::new(number("n"), number("e")).unwrap();
    // The library makes the prefix itself from the algorithm's id.
    let padding = Pkcs1v15Sign {
        hash_len: Some(32),
        prefix: crate::bitbucket::pipelines::key::SHA256_PREFIX.into(),
    };
    key.verify(padding, &Sha256::digest(text.as_bytes()), &signature)
        .is_ok()
}

#[test]
fn there_is_nothing_before_the_first_pipeline() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let keys = format!("{OIDC}/keys.json");
    let discovery = format!("{OIDC}/.well-known/openid-configuration");
    for path in [&keys, &discovery] {
        assert_eq!(get(&mut bitbucket, path, &[]).0, 404);
    }
    let body = json!({"workspace": "acme", "ran": true});
    assert_eq!(control(&mut bitbucket, "POST", "pipelines", &body).0, 200);
    let issuer = format!("http://{API}{OIDC}");
    let (status, document) = get(&mut bitbucket, &discovery, &[]);
    assert_eq!((status, &document["issuer"]), (200, &json!(issuer)));
    assert_eq!(document["jwks_uri"], format!("{issuer}/keys.json"));
    let (status, document) = get(&mut bitbucket, &keys, &[]);
    let key = &document["keys"][0];
    assert_eq!((status, &key["kid"]), (200, &json!("sim-oidc-1")));
    let told = [&key["kty"], &key["use"], &key["alg"], &key["e"]];
    assert_eq!(told, ["RSA", "sig", "RS256", "AQAB"]);
    // By UUID too, but the issuer has the slug.
    let uuid = discovery.replace("acme", "%7B77aa0000-1111-4222-8333-444455556666%7D");
    assert_eq!(get(&mut bitbucket, &uuid, &[]).1["issuer"], issuer);
    for path in [
        keys.replace("acme", "beta-labs"),
        keys.replace("acme", "nobody"),
    ] {
        assert_eq!(get(&mut bitbucket, &path, &[]).0, 404, "{path}");
    }
    let kind = "/2.0/workspaces/{workspace}/pipelines-config/identity/oidc/keys.json";
    assert_eq!(bitbucket.count(kind), 4, "refused ones are counted too");
    let body = json!({"workspace": "acme", "ran": false});
    control(&mut bitbucket, "POST", "pipelines", &body);
    assert_eq!(get(&mut bitbucket, &keys, &[]).0, 404);
}

#[test]
fn a_step_says_which_it_is() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let mut step = Step::of("acme", "widgets", "main");
    let token = bitbucket.run_step(NOW, &step).unwrap();
    let (_, keys) = get(&mut bitbucket, &format!("{OIDC}/keys.json"), &[]);
    assert!(is_signed_by(&keys, &token));
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": "sim-oidc-1"});
    assert_eq!(part(&token, 0), header);
    let claims = part(&token, 1);
    let (workspace, widgets) = (
        "{77aa0000-1111-4222-8333-444455556666}",
        "{99cc0000-1111-4222-8333-444455556666}",
    );
    let step_uuid = claims["stepUuid"].as_str().unwrap();
    let expected = json!({
        "iss": format!("http://{API}{OIDC}"),
        "aud": "ari:cloud:bitbucket::workspace/77aa0000-1111-4222-8333-444455556666",
        "sub": format!("{widgets}:{step_uuid}"),
        "iat": NOW,
        "exp": NOW + 3_600,
        "workspaceUuid": workspace,
        "repositoryUuid": widgets,
        "pipelineUuid": claims["pipelineUuid"],
        "stepUuid": step_uuid,
        "accountUuid": workspace,
        "branchName": "main",
    });
    assert_eq!(claims, expected);

    let environment = "{de910000-1111-4222-8333-444455556666}";
    step.deployment_environment = Some(Environment {
        name: "production".to_owned(),
        uuid: environment.to_owned(),
    });
    step.audiences = vec!["bitgate".to_owned()];
    step.branch = None;
    let token = bitbucket.run_step(NOW, &step).unwrap();
    let claims = part(&token, 1);
    let again = claims["stepUuid"].as_str().unwrap();
    assert_ne!(again, step_uuid, "each step is another one");
    assert_eq!(claims["sub"], format!("{widgets}:{environment}:{again}"));
    assert_eq!(claims["deploymentEnvironmentUuid"], environment);
    assert_eq!(claims["deploymentEnvironment"], "production");
    assert_eq!(claims["aud"], "bitgate");
    assert_eq!(claims.get("branchName"), None);
    step.audiences.push("other".to_owned());
    let token = bitbucket.run_step(NOW, &step).unwrap();
    assert_eq!(part(&token, 1)["aud"], json!(["bitgate", "other"]));
    assert!(
        bitbucket
            .run_step(NOW, &Step::of("acme", "lab", "main"))
            .is_err()
    );
}

#[test]
fn the_api_takes_no_token_of_a_step() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let step = Step::of("acme", "widgets", "main");
    let bearer = format!("Bearer {}", bitbucket.run_step(NOW, &step).unwrap());
    for path in [
        "/2.0/user",
        "/2.0/workspaces/acme",
        "/2.0/repositories/acme",
    ] {
        let (status, _) = get(&mut bitbucket, path, &[("authorization", &bearer)]);
        assert_eq!(status, 401, "{path}");
    }
    let key = (crate::bitbucket::CredentialKind::StepToken, 401);
    assert_eq!(bitbucket.credentials().get(&key), Some(&3));
}

#[test]
fn keys_rotate_as_they_are_told_to() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let step = json!({"workspace": "acme", "repository": "widgets", "branch": "main"});
    let token = |bitbucket: &mut Bitbucket| {
        let (_, answer) = control(bitbucket, "POST", "pipelines/tokens", &step);
        answer["token"].as_str().unwrap().to_owned()
    };
    let keys = |bitbucket: &mut Bitbucket| get(bitbucket, &format!("{OIDC}/keys.json"), &[]).1;
    let first = token(&mut bitbucket);
    // Signs before it is published.
    let body = json!({"published": false, "signs": true});
    let (_, added) = control(&mut bitbucket, "POST", "pipelines/keys", &body);
    assert_eq!(added, json!({"kid": "sim-oidc-2"}));
    let second = token(&mut bitbucket);
    let before = keys(&mut bitbucket);
    assert!(is_signed_by(&before, &first) && !is_signed_by(&before, &second));
    let body = json!({"kid": "sim-oidc-2", "published": true});
    control(&mut bitbucket, "PUT", "pipelines/keys", &body);
    let after = keys(&mut bitbucket);
    assert!(is_signed_by(&after, &first) && is_signed_by(&after, &second));
    let body = json!({"kid": "sim-oidc-1", "published": false});
    control(&mut bitbucket, "PUT", "pipelines/keys", &body);
    let end = keys(&mut bitbucket);
    assert!(!is_signed_by(&end, &first) && is_signed_by(&end, &second));
    // Published before it signs.
    control(&mut bitbucket, "POST", "pipelines/keys", &json!({}));
    assert_eq!(part(&token(&mut bitbucket), 0)["kid"], "sim-oidc-2");
    assert_eq!(bitbucket.rotate_pipelines_keys(), "sim-oidc-4");
    let fourth = token(&mut bitbucket);
    assert!(is_signed_by(&keys(&mut bitbucket), &fourth));
    let (_, all) = control(&mut bitbucket, "GET", "pipelines/keys", &Value::Null);
    let expected = json!([
        {"kid": "sim-oidc-1", "published": false, "signs": false},
        {"kid": "sim-oidc-2", "published": true, "signs": false},
        {"kid": "sim-oidc-3", "published": true, "signs": false},
        {"kid": "sim-oidc-4", "published": true, "signs": true},
    ]);
    assert_eq!(all, expected);
    for body in [
        json!({"kid": "other", "published": true}),
        json!({"kid": "sim-oidc-4", "signs": false}),
        json!({}),
    ] {
        let (status, _) = control(&mut bitbucket, "PUT", "pipelines/keys", &body);
        assert_eq!(status, 400, "{body}");
    }
}

#[test]
fn wrong_tokens_are_wrong_as_asked() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let mut token = |changes: &Value| {
        let mut body = json!({"workspace": "acme", "repository": "widgets"});
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (status, answer) = control(&mut bitbucket, "POST", "pipelines/tokens", &body);
        (
            status,
            answer["token"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let keys = {
        let mut other = Bitbucket::new(Settings::default());
        other.set_pipelines_ran("acme", true).unwrap();
        get(&mut other, &format!("{OIDC}/keys.json"), &[]).1
    };
    let (_, foreign) = token(&json!({"signature": "foreign"}));
    assert!(!is_signed_by(&keys, &foreign));
    assert_eq!(part(&foreign, 0)["kid"], "sim-oidc-1");
    let (_, none) = token(&json!({"signature": "none"}));
    assert!(none.ends_with('.') && part(&none, 0)["alg"] == "none");
    let (_, hmac) = token(&json!({"signature": "hmac"}));
    assert_eq!(part(&hmac, 0)["alg"], "HS256");
    let (text, tag) = hmac.rsplit_once('.').unwrap();
    let secret = bitbucket_key().public_pem();
    let expected = hmac_sha256::HMAC::mac(text.as_bytes(), secret.as_bytes());
    assert_eq!(tag, URL_SAFE_NO_PAD.encode(expected));
    let jwk = SigningKey::foreign().jwk();
    let (_, mixed) = token(&json!({
        "iat": -60, "nbf": 30, "exp": -1,
        "header": {"jwk": jwk, "typ": null, "alg": "RS512"},
        "claims": {"iss": "https://evil.example", "branchName": null, "aud": ["x"]},
    }));
    assert_eq!(
        part(&mixed, 0),
        json!({"alg": "RS512", "kid": "sim-oidc-1", "jwk": jwk})
    );
    let claims = part(&mixed, 1);
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(0), &json!(0)));
    assert_eq!(
        claims["nbf"], 30,
        "the clock of a control is that of the request"
    );
    assert_eq!(claims["iss"], "https://evil.example");
    assert!(is_signed_by(&keys, &mixed));
    for wrong in [
        json!({"signature": "other"}),
        json!({"claims": []}),
        json!({"audiences": "x"}),
        json!({"exp": "soon"}),
        json!({"deployment_environment": {"name": "x"}}),
        json!({"repository": "lab"}),
    ] {
        assert_eq!(token(&wrong).0, 400, "{wrong}");
    }
}

fn bitbucket_key() -> SigningKey {
    Bitbucket::new(Settings::default()).pipelines_key()
}

#[test]
fn keys_have_bad_days_and_an_hour_of_their_own() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    bitbucket.set_pipelines_ran("acme", true).unwrap();
    let path = format!("{OIDC}/keys.json");
    bitbucket.fail_next(Fault {
        path: "/2.0/workspaces/{workspace}/pipelines-config/identity/oidc/keys.json".to_owned(),
        times: 1,
        response: FaultResponse::Status(503),
    });
    assert_eq!(get(&mut bitbucket, &path, &[]).0, 503);
    let body = json!({"path": path, "status": 200, "body": "{\"keys\":[]}", "content_type": "application/json"});
    control(&mut bitbucket, "POST", "faults", &body);
    let empty = get(&mut bitbucket, &path, &[]);
    assert_eq!(empty, (200, json!({"keys": []})));
    control(
        &mut bitbucket,
        "POST",
        "faults",
        &json!({"path": path, "times": 9, "status": 500}),
    );
    control(&mut bitbucket, "DELETE", "faults", &Value::Null);
    let statuses: Vec<u16> = (0..61).map(|_| get(&mut bitbucket, &path, &[]).0).collect();
    assert!(statuses[..60].iter().all(|status| *status == 200));
    assert_eq!(statuses[60], 429);
    bitbucket.settings.anonymous_limit = None;
    // Whatever it comes with.
    let headers = [("authorization", "Bearer x")];
    assert_eq!(get(&mut bitbucket, &path, &headers).0, 200);
}
