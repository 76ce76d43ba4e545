use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::bitbucket::grants::Subject;
use crate::bitbucket::{
    AccessToken, AccessTokenKind, ApiToken, Consumer, Fault, Mode, Settings, Step,
};
use crate::header;

const WEB: &str = "127.0.0.1:10001";
const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";
const ADA: &str = "557058:00000001-ada0-4c0d-8e1f-b17b0c4e7000";
const GRACE: &str = "557058:00000002-ada0-4c0d-8e1f-b17b0c4e7000";
const LINUS: &str = "557058:00000003-ada0-4c0d-8e1f-b17b0c4e7000";
const NOW: u64 = 1_000;

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn access_token(token: &str, kind: AccessTokenKind, scopes: &[&str]) -> AccessToken {
    AccessToken {
        token: token.to_owned(),
        kind,
        workspace: ACME.to_owned(),
        scopes: owned(scopes),
        is_admin: false,
        expires_at: None,
        api_limit: None,
    }
}

fn api_token(token: &str, account_id: &str, scopes: &[&str]) -> ApiToken {
    ApiToken {
        token: token.to_owned(),
        account_id: account_id.to_owned(),
        scopes: owned(scopes),
        expires_at: None,
    }
}

fn bitbucket() -> Bitbucket {
    let widgets = "{99cc0000-1111-4222-8333-444455556666}";
    let settings = Settings::default();
    let mut consumers = settings.consumers.clone();
    consumers.push(Consumer {
        client_id: "bot".to_owned(),
        private: true,
        ..consumers[0].clone()
    });
    let kinds = [
        (
            "ATCT-w",
            AccessTokenKind::Workspace,
            &["repository:write"][..],
        ),
        ("ATCT-r", AccessTokenKind::Workspace, &["repository"]),
        (
            "ATCT-p",
            AccessTokenKind::Project("OPS".to_owned()),
            &["repository:write"],
        ),
        (
            "ATCT-1",
            AccessTokenKind::Repository(widgets.to_owned()),
            &["repository:write"],
        ),
        ("ATCT-0", AccessTokenKind::Workspace, &["pipeline"]),
    ];
    let (read, write) = ("read:repository:bitbucket", "write:repository:bitbucket");
    Bitbucket::new(Settings {
        consumers,
        access_tokens: kinds
            .into_iter()
            .map(|(token, kind, scopes)| access_token(token, kind, scopes))
            .collect(),
        api_tokens: vec![
            api_token("ATAT-ada", ADA, &[read, write]),
            api_token("ATAT-grace", GRACE, &[read]),
            api_token("ATAT-push", GRACE, &[write]),
            api_token("ATAT-user", GRACE, &["read:user:bitbucket"]),
        ],
        ..settings
    })
}

fn oauth(bitbucket: &mut Bitbucket, account_id: Option<&str>, scopes: &[&str]) -> String {
    let client_id = account_id.map_or("bot", |_| "demo-consumer");
    let subject = Arc::new(Subject {
        client_id: client_id.to_owned(),
        account_id: account_id.map(str::to_owned),
        scopes: owned(scopes),
    });
    let grants = &mut bitbucket.grants;
    let token = grants.new_access(&subject, 1, 2_000, (Mode::Migrated, 2_600));
    basic("x-token-auth", &token)
}

fn ask(
    bitbucket: &mut Bitbucket,
    authorization: &str,
    method: &str,
    target: &str,
    body: &str,
) -> Response {
    let mut request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", WEB);
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    let request = request.body(body.as_bytes().to_vec()).unwrap();
    bitbucket.handle(NOW, &request)
}

/// The statuses of a fetch and of a push; 501 is granted.
fn may(bitbucket: &mut Bitbucket, authorization: &str, repository: &str) -> [u16; 2] {
    ["upload", "receive"].map(|pack| {
        let refs = format!("/{repository}/info/refs?service=git-{pack}-pack");
        let post = format!("/{repository}/git-{pack}-pack");
        let first = ask(bitbucket, authorization, "GET", &refs, "");
        let second = ask(bitbucket, authorization, "POST", &post, "");
        assert_eq!(first.status(), second.status(), "{repository} {pack}");
        first.status().as_u16()
    })
}

#[test]
fn each_credential_may_what_it_may() {
    const YES: u16 = 501;
    let mut bitbucket = bitbucket();
    let ada = oauth(&mut bitbucket, Some(ADA), &["repository:write"]);
    let reader = oauth(&mut bitbucket, Some(ADA), &["repository"]);
    let account = oauth(&mut bitbucket, Some(ADA), &["account"]);
    let linus = oauth(&mut bitbucket, Some(LINUS), &["repository:write"]);
    let bot = oauth(&mut bitbucket, None, &["repository:write"]);
    let token = |token: &str| basic("x-token-auth", token);
    let person = |token: &str| basic("x-bitbucket-api-token-auth", token);
    let (widgets, secrets, website, lab) = (
        "acme/widgets.git",
        "acme/secrets.git",
        "acme/website.git",
        "beta-labs/lab.git",
    );
    for (name, authorization, repository, expected) in [
        ("nobody", "", widgets, [401, 401]),
        ("nobody", "", "acme/nothing.git", [401, 401]),
        ("nobody", "", website, [YES, 401]),
        ("ada", &*ada, widgets, [YES, YES]),
        ("ada", &ada, "acme/widgets", [YES, YES]),
        (
            "ada",
            &ada,
            "%7B77aa0000-1111-4222-8333-444455556666%7D/widgets.git",
            [YES, YES],
        ),
        ("ada", &ada, lab, [404, 404]),
        ("ada", &ada, "acme/nothing.git", [404, 404]),
        ("ada, to read", &reader, widgets, [YES, 403]),
        ("ada, no git", &account, widgets, [403, 403]),
        ("linus", &linus, widgets, [YES, 403]),
        ("linus", &linus, secrets, [404, 404]),
        ("linus", &linus, website, [YES, 403]),
        ("bot", &bot, widgets, [YES, YES]),
        ("bot", &bot, lab, [404, 404]),
        ("workspace", &token("ATCT-w"), secrets, [YES, YES]),
        ("workspace", &token("ATCT-w"), lab, [404, 404]),
        ("workspace, to read", &token("ATCT-r"), secrets, [YES, 403]),
        ("workspace, no git", &token("ATCT-0"), secrets, [403, 403]),
        ("project", &token("ATCT-p"), secrets, [YES, YES]),
        ("project", &token("ATCT-p"), widgets, [404, 404]),
        ("repository", &token("ATCT-1"), widgets, [YES, YES]),
        ("repository", &token("ATCT-1"), secrets, [404, 404]),
        ("ada's", &person("ATAT-ada"), widgets, [YES, YES]),
        ("ada's", &basic("ada", "ATAT-ada"), widgets, [YES, YES]),
        (
            "ada's",
            &basic("ada@example.com", "ATAT-ada"),
            widgets,
            [401, 401],
        ),
        ("ada's", &basic("grace", "ATAT-ada"), widgets, [401, 401]),
        ("ada's", &token("ATAT-ada"), widgets, [401, 401]),
        (
            "grace's to read",
            &person("ATAT-grace"),
            widgets,
            [YES, 403],
        ),
        ("grace's to push", &person("ATAT-push"), widgets, [403, YES]),
        (
            "grace's to push",
            &person("ATAT-push"),
            "acme/gadgets.git",
            [403, 403],
        ),
        ("grace's, no git", &person("ATAT-user"), widgets, [403, 403]),
        ("app password", &basic("ada", "ATBB-x"), widgets, [410, 410]),
        ("wrong", &token("ATCT-x"), widgets, [401, 401]),
        ("wrong name", &basic("ada", "ATCT-w"), widgets, [401, 401]),
        ("bearer", "Bearer ATCT-w", widgets, [401, 401]),
        ("wrong, public", &token("ATCT-x"), website, [401, 401]),
    ] {
        let found = may(&mut bitbucket, authorization, repository);
        assert_eq!(found, expected, "{name} {repository}");
    }
}

#[test]
fn a_refusal_says_what_git_prints() {
    let mut bitbucket = bitbucket();
    let refs = "/acme/widgets.git/info/refs?service=git-upload-pack";
    let answer = ask(&mut bitbucket, "", "GET", refs, "");
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert_eq!(challenge, "Basic realm=\"Bitbucket.org HTTP\"");
    let answer = ask(&mut bitbucket, &basic("ada", "ATBB-x"), "GET", refs, "");
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert!(answer.body().starts_with(b"CHANGE-3222"));
    bitbucket.settings.app_password_status = 401;
    let answer = ask(&mut bitbucket, &basic("ada", "ATBB-x"), "GET", refs, "");
    assert_eq!(answer.status(), 401);
}

#[test]
fn the_old_protocol_and_other_methods_are_refused_to_everybody() {
    let mut bitbucket = bitbucket();
    let ada = oauth(&mut bitbucket, Some(ADA), &["repository:write"]);
    for (method, path, status) in [
        ("GET", "info/refs", 403),
        ("GET", "info/refs?service=git-upload-archive", 403),
        (
            "GET",
            "info/refs?service=git-upload-pack&service=git-receive-pack",
            403,
        ),
        ("GET", "HEAD", 403),
        ("GET", "objects/info/packs", 403),
        ("GET", "info/alternates", 403),
        ("POST", "git-upload-archive", 403),
        ("GET", "git-upload-pack", 405),
        ("PUT", "git-receive-pack", 405),
        ("POST", "info/refs?service=git-upload-pack", 405),
        ("GET", "info/lfs/objects/batch", 405),
    ] {
        let target = format!("/acme/widgets.git/{path}");
        let answer = ask(&mut bitbucket, &ada, method, &target, "");
        assert_eq!(answer.status(), status, "{method} {path}");
    }
}

#[test]
fn lfs_is_read_or_written_as_its_body_says() {
    let mut bitbucket = bitbucket();
    let batch = "/acme/widgets.git/info/lfs/objects/batch";
    let reader = oauth(&mut bitbucket, Some(LINUS), &["repository"]);
    let status = |bitbucket: &mut Bitbucket, authorization: &str, operation: &str| {
        let body = json!({"operation": operation, "objects": []}).to_string();
        let answer = ask(bitbucket, authorization, "POST", batch, &body);
        let media_type = header_of(&answer);
        assert!(answer.status() == 501 || media_type == "application/vnd.git-lfs+json");
        answer.status().as_u16()
    };
    assert_eq!(status(&mut bitbucket, &reader, "download"), 501);
    assert_eq!(status(&mut bitbucket, &reader, "upload"), 403);
    assert_eq!(status(&mut bitbucket, "", "download"), 401);
    bitbucket.settings.lfs_challenge = 403;
    assert_eq!(status(&mut bitbucket, "", "download"), 403);
    bitbucket.settings.lfs_takes_oauth = false;
    assert_eq!(status(&mut bitbucket, &reader, "download"), 403);
    let token = basic("x-token-auth", "ATCT-w");
    assert_eq!(status(&mut bitbucket, &token, "upload"), 501);
    let verify = "/acme/widgets.git/info/lfs/locks/verify";
    let answer = ask(
        &mut bitbucket,
        &basic("x-token-auth", "ATCT-r"),
        "POST",
        verify,
        "{}",
    );
    assert_eq!(answer.status(), 403);
}

fn header_of(answer: &Response) -> &str {
    answer.headers()["content-type"].to_str().unwrap()
}

#[test]
fn the_ledger_says_what_git_came_with() {
    let mut bitbucket = bitbucket();
    let step = Step::of("acme", "widgets", "main");
    let step = bitbucket.run_step(NOW, &step).unwrap();
    let bot = oauth(&mut bitbucket, None, &["repository"]);
    let refs = "/acme/widgets.git/info/refs?service=git-upload-pack";
    for (authorization, kind, user) in [
        (String::new(), CredentialKind::None, None),
        (
            basic("ada", "ATAT-ada"),
            CredentialKind::ApiToken,
            Some("ada"),
        ),
        (
            basic("x-token-auth", "ATCT-r"),
            CredentialKind::AccessToken,
            Some("x-token-auth"),
        ),
        (bot, CredentialKind::AppUser, Some("x-token-auth")),
        (
            basic("x-token-auth", &step),
            CredentialKind::StepToken,
            Some("x-token-auth"),
        ),
        (format!("Bearer {step}"), CredentialKind::StepToken, None),
    ] {
        ask(&mut bitbucket, &authorization, "GET", refs, "");
        let entry = bitbucket.ledger().last().unwrap();
        assert_eq!((entry.credential, entry.user.as_deref()), (kind, user));
        assert_eq!(entry.kind, "/{workspace}/{repository}.git/info/refs");
    }
    assert_eq!(
        bitbucket.count("/{workspace}/{repository}.git/info/refs"),
        6
    );
}

#[test]
fn git_has_bad_days_and_a_limit_of_its_own() {
    let mut bitbucket = bitbucket();
    bitbucket.settings.api_limit = Some(1);
    bitbucket.settings.git_limit = Some(2);
    let refs = "/acme/widgets.git/info/refs?service=git-upload-pack";
    bitbucket.fail_next(Fault {
        path: "/{workspace}/{repository}.git/info/refs".to_owned(),
        times: 1,
        response: FaultResponse::Status(401),
    });
    let token = basic("x-token-auth", "ATCT-r");
    let mut statuses = || {
        ask(&mut bitbucket, &token, "GET", refs, "")
            .status()
            .as_u16()
    };
    assert_eq!(
        [statuses(), statuses(), statuses(), statuses()],
        [401, 501, 501, 429]
    );
    let answer = ask(
        &mut bitbucket,
        &basic("x-token-auth", "ATCT-w"),
        "GET",
        refs,
        "",
    );
    assert_eq!(answer.status(), 501);
    assert_eq!(bitbucket.usage_of("ATCT-r").answered, 0);
}

#[test]
fn other_hosts_have_no_git() {
    let mut bitbucket = bitbucket();
    let request = http::Request::get("/acme/website.git/info/refs?service=git-upload-pack")
        .header("host", "127.0.0.1:10002");
    let request = request.body(Vec::new()).unwrap();
    assert_eq!(header(&request, "host"), Some("127.0.0.1:10002"));
    assert_eq!(bitbucket.handle(NOW, &request).status(), 404);
}
