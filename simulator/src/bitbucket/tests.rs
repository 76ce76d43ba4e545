use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const WEB: &str = "127.0.0.1:10001";
const API: &str = "127.0.0.1:10002";
const CALLBACK: &str = "http://localhost:10000/_bitgate/callback";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn form(pairs: &[(&str, &str)]) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
        .into_bytes()
}

fn post(path: &str, pairs: &[(&str, &str)]) -> http::request::Builder {
    let _ = pairs;
    http::Request::post(path)
        .header("host", WEB)
        .header("content-type", "application/x-www-form-urlencoded")
}

pub(super) fn authorize(
    bitbucket: &mut Bitbucket,
    now: u64,
    changes: &[(&str, Option<&str>)],
) -> Response {
    let ada = bitbucket.settings.people[0].account_id.clone();
    let mut pairs = vec![
        ("client_id", "demo-consumer"),
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("account", ada.as_str()),
        ("decision", "grant"),
    ];
    for (name, value) in changes {
        pairs.retain(|(known, _)| known != name);
        pairs.extend(value.map(|value| (*name, value)));
    }
    let request = post("/site/oauth2/authorize", &pairs)
        .body(form(&pairs))
        .unwrap();
    bitbucket.handle(now, &request)
}

pub(super) fn location(response: &Response) -> &str {
    response
        .headers()
        .get("location")
        .map_or("", |value| value.to_str().unwrap())
}

fn code(bitbucket: &mut Bitbucket, now: u64) -> String {
    let answer = authorize(bitbucket, now, &[]);
    let code = location(&answer).split("code=").nth(1).unwrap();
    code.split('&').next().unwrap().to_owned()
}

fn token_with(
    bitbucket: &mut Bitbucket,
    now: u64,
    credentials: &str,
    pairs: &[(&str, &str)],
) -> (u16, Value) {
    let basic = format!("Basic {}", STANDARD.encode(credentials));
    let request = post("/site/oauth2/access_token", pairs).header("authorization", basic);
    let answer = bitbucket.handle(now, &request.body(form(pairs)).unwrap());
    (
        answer.status().as_u16(),
        serde_json::from_slice(answer.body()).unwrap(),
    )
}

fn token(bitbucket: &mut Bitbucket, now: u64, pairs: &[(&str, &str)]) -> (u16, Value) {
    token_with(bitbucket, now, "demo-consumer:demo-secret", pairs)
}

pub(super) fn exchange(bitbucket: &mut Bitbucket, now: u64, code: &str) -> (u16, Value) {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    token(bitbucket, now, &pairs)
}

fn get(bitbucket: &mut Bitbucket, now: u64, path: &str, authorization: &str) -> (u16, Value) {
    let request = http::Request::get(path)
        .header("host", API)
        .header("authorization", authorization);
    let answer = bitbucket.handle(now, &request.body(Vec::new()).unwrap());
    (
        answer.status().as_u16(),
        serde_json::from_slice(answer.body()).unwrap_or_default(),
    )
}

fn new(change: fn(&mut Settings)) -> Bitbucket {
    let mut settings = Settings::default();
    change(&mut settings);
    Bitbucket::new(settings)
}

#[test]
fn the_page_asks_once_for_each_parameter_and_escapes_it() {
    let mut bitbucket = new(|_| {});
    let query = "client_id=demo-consumer&response_type=code&state=%22%3E%3Cscript%3E";
    let request = http::Request::get(format!("/site/oauth2/authorize?{query}")).header("host", WEB);
    let answer = bitbucket.handle(0, &request.body(Vec::new()).unwrap());
    let page = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(page.contains("&quot;&gt;&lt;script&gt;") && !page.contains("<script>"));
    assert!(page.contains("Ada Lovelace"));
}

#[test]
fn what_is_wrong_with_the_client_is_never_redirected() {
    let mut bitbucket = new(|_| {});
    for change in [
        ("client_id", Some("other")),
        ("client_id", None),
        ("redirect_uri", Some("http://evil.test/")),
        (
            "redirect_uri",
            Some("http://localhost:10000/_bitgate/callbackx"),
        ),
        (
            "redirect_uri",
            Some("http://localhost:10000/_bitgate/callback#f"),
        ),
        ("redirect_uri", Some("http://localhost:10000/_bitgate/")),
        ("account", Some("nobody")),
        ("decision", None),
    ] {
        let answer = authorize(&mut bitbucket, 0, &[change]);
        assert_eq!(
            (answer.status().as_u16(), location(&answer)),
            (400, ""),
            "{change:?}"
        );
    }
    let body = b"client_id=demo-consumer&client_id=demo-consumer".to_vec();
    let twice = post("/site/oauth2/authorize", &[]).body(body).unwrap();
    assert_eq!(bitbucket.handle(0, &twice).status(), 400);
}

#[test]
fn other_errors_go_back_with_the_state() {
    let mut bitbucket = new(|_| {});
    for (change, error) in [
        (
            ("response_type", Some("token")),
            "unsupported_response_type",
        ),
        (("scope", Some("account nonsense")), "invalid_scope"),
        (("code_challenge_method", Some("plain")), "invalid_request"),
        (("decision", Some("deny")), "access_denied"),
    ] {
        let answer = authorize(&mut bitbucket, 0, &[change]);
        let location = location(&answer);
        assert!(
            location.starts_with(&format!("{CALLBACK}?error={error}")),
            "{location}"
        );
        assert!(location.ends_with("&state=s"), "{location}");
    }
}

#[test]
fn a_migrated_login_gives_a_rotating_pair_of_long_tokens() {
    let mut bitbucket = new(|_| {});
    let code = code(&mut bitbucket, 0);
    let (status, document) = exchange(&mut bitbucket, 1, &code);
    assert_eq!(status, 200);
    assert_eq!(document["scope"], "account email repository");
    assert_eq!(document.get("scopes"), None);
    let access = document["access_token"].as_str().unwrap().to_owned();
    assert_eq!((access.len(), access.split('.').count()), (2_600, 3));
    let bearer = format!("Bearer {access}");
    let (status, user) = get(&mut bitbucket, 2, "/2.0/user", &bearer);
    assert_eq!((status, &user["nickname"]), (200, &"ada".into()));
    let (status, emails) = get(&mut bitbucket, 2, "/2.0/user/emails?pagelen=100", &bearer);
    assert_eq!(
        (status, emails["values"].as_array().unwrap().len()),
        (200, 2)
    );
    assert_eq!(get(&mut bitbucket, 7_201, "/2.0/user", &bearer).0, 401);
    let first = document["refresh_token"].as_str().unwrap().to_owned();
    let refresh = |token| [("grant_type", "refresh_token"), ("refresh_token", token)];
    let (status, document) = token(&mut bitbucket, 10, &refresh(&first));
    assert_eq!(status, 200);
    assert_ne!(document["refresh_token"], first.as_str());
    // Within the window the used one works, afterwards not.
    assert_eq!(token(&mut bitbucket, 609, &refresh(&first)).0, 200);
    let (status, document) = token(&mut bitbucket, 610, &refresh(&first));
    assert_eq!(
        (status, &document["error"]),
        (400, &"unauthorized_client".into())
    );
}

#[test]
fn a_reuse_locks_valid_tokens_out_for_a_while() {
    let mut bitbucket = new(|settings| {
        settings.reuse_window = 0;
        settings.lock_out = 60;
    });
    let code = code(&mut bitbucket, 0);
    let (_, document) = exchange(&mut bitbucket, 0, &code);
    let first = document["refresh_token"].as_str().unwrap().to_owned();
    let refresh = |token| [("grant_type", "refresh_token"), ("refresh_token", token)];
    let (_, document) = token(&mut bitbucket, 1, &refresh(&first));
    let second = document["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(token(&mut bitbucket, 2, &refresh(&first)).0, 400);
    assert_eq!(token(&mut bitbucket, 3, &refresh(&second)).0, 400);
    assert_eq!(token(&mut bitbucket, 62, &refresh(&second)).0, 200);
}

#[test]
fn a_legacy_login_gives_short_tokens_that_do_not_rotate() {
    let mut bitbucket = new(|settings| settings.mode = Mode::Legacy);
    let code = code(&mut bitbucket, 0);
    let (_, document) = exchange(&mut bitbucket, 0, &code);
    assert_eq!(document["scopes"], "account email repository");
    assert_eq!(document["state"], "authorization_code");
    assert_eq!(document["access_token"].as_str().unwrap().len(), 100);
    let first = document["refresh_token"].as_str().unwrap().to_owned();
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.as_str()),
    ];
    for now in [10, 10_000, 100_000] {
        let (status, document) = token(&mut bitbucket, now, &pairs);
        assert_eq!(
            (status, &document["refresh_token"]),
            (200, &first.as_str().into())
        );
    }
}

#[test]
fn a_code_works_once_and_a_second_use_ends_its_tokens() {
    let mut bitbucket = new(|_| {});
    let code = code(&mut bitbucket, 0);
    let (_, document) = exchange(&mut bitbucket, 0, &code);
    let bearer = format!("Bearer {}", document["access_token"].as_str().unwrap());
    assert_eq!(get(&mut bitbucket, 0, "/2.0/user", &bearer).0, 200);
    let (status, document) = exchange(&mut bitbucket, 0, &code);
    assert_eq!((status, &document["error"]), (400, &"invalid_grant".into()));
    assert_eq!(get(&mut bitbucket, 0, "/2.0/user", &bearer).0, 401);
}

#[test]
fn the_token_endpoint_is_strict() {
    let mut bitbucket = new(|_| {});
    let good = |code: &str| {
        vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("code_verifier", VERIFIER.to_owned()),
        ]
    };
    for (name, value) in [
        ("grant_type", None),
        ("grant_type", Some("password")),
        ("grant_type", Some("client_credentials")),
        ("code", Some("other")),
        ("redirect_uri", None),
        (
            "redirect_uri",
            Some("http://localhost:10000/_bitgate/callback/"),
        ),
        ("code_verifier", None),
        ("code_verifier", Some("wrong")),
        ("client_secret", Some("demo-secret")),
    ] {
        let code = code(&mut bitbucket, 0);
        let mut pairs = good(&code);
        pairs.retain(|(known, _)| *known != name);
        pairs.extend(value.map(|value| (name, value.to_owned())));
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(token(&mut bitbucket, 0, &pairs).0, 400, "{name} {value:?}");
    }
    let code = code(&mut bitbucket, 0);
    assert_eq!(exchange(&mut bitbucket, 600, &code).0, 400, "too late");
    for credentials in [
        "demo-consumer:wrong",
        "other:demo-secret",
        "demo-consumer",
        "",
    ] {
        let (status, document) = token_with(&mut bitbucket, 0, credentials, &[]);
        assert_eq!(
            (status, &document["error"]),
            (400, &"unauthorized_client".into())
        );
    }
    let plain = http::Request::post("/site/oauth2/access_token").header("host", WEB);
    assert_eq!(
        bitbucket
            .handle(0, &plain.body(Vec::new()).unwrap())
            .status(),
        400
    );
    let read = http::Request::get("/site/oauth2/access_token").header("host", WEB);
    assert_eq!(
        bitbucket
            .handle(0, &read.body(Vec::new()).unwrap())
            .status(),
        405
    );
}

#[test]
fn the_api_takes_tokens_in_the_header_only() {
    let mut bitbucket = new(|_| {});
    let code = code(&mut bitbucket, 0);
    let (_, document) = exchange(&mut bitbucket, 0, &code);
    let access = document["access_token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {access}");
    assert_eq!(
        get(
            &mut bitbucket,
            0,
            &format!("/2.0/user?access_token={access}"),
            ""
        )
        .0,
        401
    );
    assert_eq!(
        get(
            &mut bitbucket,
            0,
            &format!("/2.0/user?access_token={access}"),
            &bearer
        )
        .0,
        401
    );
    for authorization in [
        "",
        "Bearer x",
        "Basic eDp5",
        &access,
        &format!("bearer {access}x"),
    ] {
        assert_eq!(get(&mut bitbucket, 0, "/2.0/user", authorization).0, 401);
    }
    for path in [
        "/2.0/workspaces",
        "/2.0/repositories",
        "/2.0/user/permissions/workspaces/",
    ] {
        assert_eq!(get(&mut bitbucket, 0, path, &bearer).0, 410, "{path}");
    }
    assert_eq!(get(&mut bitbucket, 0, "/2.0/nothing", &bearer).0, 404);
    bitbucket.settings.consumers[0].scopes = vec!["repository".to_owned()];
    let ada = bitbucket.settings.people[0].account_id.clone();
    bitbucket.revoke(&ada);
    assert_eq!(get(&mut bitbucket, 0, "/2.0/user", &bearer).0, 401);
    let code = self::code(&mut bitbucket, 0);
    let (_, document) = exchange(&mut bitbucket, 0, &code);
    let narrow = format!("Bearer {}", document["access_token"].as_str().unwrap());
    assert_eq!(get(&mut bitbucket, 0, "/2.0/user", &narrow).0, 403);
    assert_eq!(get(&mut bitbucket, 0, "/2.0/user/emails", &narrow).0, 403);
}

#[test]
fn another_host_is_none_of_ours_and_faults_are_used_up() {
    let mut bitbucket = new(|_| {});
    let request = |host: &str| {
        http::Request::get("/2.0/user")
            .header("host", host)
            .body(Vec::new())
            .unwrap()
    };
    assert_eq!(bitbucket.handle(0, &request("evil.test")).status(), 421);
    let response = FaultResponse::Status(429);
    bitbucket.fail_next(Fault {
        path: "/2.0/user".to_owned(),
        times: 2,
        response,
    });
    assert_eq!(bitbucket.handle(0, &request(API)).status(), 429);
    assert_eq!(bitbucket.handle(0, &request(API)).status(), 429);
    assert_eq!(bitbucket.handle(0, &request(API)).status(), 401);
    assert_eq!(bitbucket.count("/2.0/user"), 3);
}

#[test]
fn the_ledger_has_no_secret() {
    let mut bitbucket = new(|_| {});
    let code = code(&mut bitbucket, 0);
    let (_, document) = exchange(&mut bitbucket, 0, &code);
    let access = document["access_token"].as_str().unwrap();
    get(&mut bitbucket, 0, "/2.0/user", &format!("Bearer {access}"));
    let request = http::Request::get("/_simulator/ledger").header("host", API);
    let answer = bitbucket.handle(0, &request.body(Vec::new()).unwrap());
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(text.contains("/2.0/user") && text.contains("authorization_code"));
    for secret in [code.as_str(), access, "demo-secret", VERIFIER] {
        assert!(!text.contains(secret));
    }
}
