//! People with their own API token.

use bitgate_simulator::bitbucket::{CredentialKind, Fault, FaultResponse};

use crate::site::{ADA, FILLER, GRACE, LINUS, Site, WIDGETS};
use crate::support::browser::{body, header};

#[test]
fn who_may_read_fetches_and_who_may_write_pushes() {
    let site = Site::start("people");
    let graces = site.address(Some(GRACE), WIDGETS);
    site.git(&["clone", "--quiet", &graces, "one"]);
    // With ".git" or without.
    let linus = site.address(Some(LINUS), "/acme/widgets");
    site.git(&["clone", "--quiet", &linus, "two"]);
    site.commit("one", "file", b"second");
    site.git(&["-C", "one", "push", "--quiet", "origin", "HEAD:main"]);
    site.git(&["-C", "two", "pull", "--quiet"]);
    assert_eq!(site.read("two/file"), b"second");

    site.git(&["clone", "--quiet", "--depth=1", &linus, "shallow"]);
    let count = ["-C", "shallow", "rev-list", "--count", "HEAD"];
    assert_eq!(site.git(&count), "1\n");
    site.git(&["-C", "shallow", "fetch", "--quiet", "--unshallow"]);
    assert_eq!(site.git(&count), "2\n");

    let partial = ["clone", "--quiet", "--no-checkout", "--filter=blob:none"];
    site.git(&[&partial[..], &[&linus, "partial"]].concat());
    let missing = ["rev-list", "--objects", "--missing=print", "HEAD"];
    assert!(
        site.git(&[&["-C", "partial"], &missing[..]].concat())
            .contains('?')
    );
    site.git(&["-C", "partial", "checkout", "--quiet", "main"]);
    assert_eq!(site.read("partial/file"), b"second");

    site.commit("two", "file", b"mine");
    let before = site.passed().len();
    let push = ["-C", "two", "push", "origin", "HEAD:main"];
    let said = site.refused(&push);
    assert!(
        said.contains("remote: You lack a permission at Bitbucket (insufficient_permission)."),
        "{said}"
    );
    assert!(
        said.contains("The requested URL returned error: 403"),
        "{said}"
    );
    // A push that does not ask first.
    let request = http::Request::post(format!("{WIDGETS}/git-receive-pack"));
    let answer = site.send(Some(LINUS), request.body(b"0000".to_vec()).unwrap());
    assert_eq!(
        (
            answer.status().as_u16(),
            header(&answer, "x-bitgate-reason")
        ),
        (403, "insufficient_permission")
    );
    assert_eq!(
        site.passed().len(),
        before,
        "what is refused does not reach Bitbucket"
    );

    for entry in site.passed() {
        assert_eq!(
            (entry.credential, entry.status),
            (CredentialKind::ApiToken, 200),
            "{}",
            entry.path
        );
        assert_eq!(entry.user.as_deref(), Some("x-bitbucket-api-token-auth"));
        // Fetches speak version 2, of which a header says so; the server answers in it below.
        let is_fetch = entry.path.ends_with("/git-upload-pack");
        let says_version = entry.headers.iter().any(|name| name == "git-protocol");
        assert!(says_version || !is_fetch, "{}", entry.path);
    }
    assert!(site.packets().contains("clone< version 2"));
}

#[test]
fn git_says_why_it_is_refused() {
    let site = Site::start("refused");
    let with = |login, path: &str| site.refused(&["ls-remote", &site.address(login, path)]);
    let said = with(None, WIDGETS);
    assert!(said.contains("could not read Username"), "{said}");
    let failed = "fatal: Authentication failed for";
    let denied = "The requested URL returned error: 403";
    let table = [
        (
            ("ada@example.com", "ATATT3xFfGF0-no-such-token"),
            WIDGETS,
            "Bitbucket does not accept this credential (credential_refused). It has",
            failed,
        ),
        (
            ("linus@example.com", ADA.1),
            WIDGETS,
            "Bitbucket does not accept this credential (credential_refused). It has",
            failed,
        ),
        (
            ("x-token-auth", "ATCTT3xFfGN0-no-such-token"),
            WIDGETS,
            "Bitbucket does not accept this credential (credential_refused). It has",
            failed,
        ),
        (
            ("ada", "ATBBxxxxxxxxxxxxxxxxxxxx"),
            WIDGETS,
            "App passwords are gone (app_password_removed). Bitbucket has not",
            failed,
        ),
        (
            ("x-bitbucket-api-token-auth", ADA.1),
            WIDGETS,
            "An API token needs the address of its account (api_token_alone). Use the e-mail",
            failed,
        ),
        (
            ("ada", "hunter2"),
            WIDGETS,
            "Please sign in (no_session). Use the e-mail address of your Atlassian account",
            failed,
        ),
        (
            LINUS,
            "/acme/secrets.git",
            "You lack a permission at Bitbucket (insufficient_permission). This",
            denied,
        ),
        (
            LINUS,
            "/acme/no-such.git",
            "You lack a permission at Bitbucket (insufficient_permission). This",
            denied,
        ),
        (
            GRACE,
            "/beta-labs/lab.git",
            "This page is closed (forbidden). Nobody",
            denied,
        ),
    ];
    for (login, path, reason, end) in table {
        let said = with(Some(login), path);
        let mut lines = said.lines();
        let first = lines.next().unwrap();
        assert!(
            first.starts_with(&format!("remote: {reason}")),
            "{login:?} {path}: {said}"
        );
        assert!(
            lines.next().unwrap().contains(end) && lines.next().is_none(),
            "{said}"
        );
    }
    // Bitbucket does not answer about somebody whom nobody knows yet.
    site.bitbucket().fail_next(Fault {
        path: "/2.0/user".to_owned(),
        times: 10,
        response: FaultResponse::Status(503),
    });
    let said = with(Some(GRACE), WIDGETS);
    assert!(
        said.contains("remote: Bitbucket cannot be asked right now (rights_unavailable)."),
        "{said}"
    );
    assert!(said.contains("error: 503"), "{said}");
    assert!(site.passed().is_empty());
    // And the token of a repository is one that a program brings.
    site.git(&[
        "ls-remote",
        &site.address(Some(("x-token-auth", FILLER)), WIDGETS),
    ]);
    assert_eq!(site.passed()[0].credential, CredentialKind::AccessToken);
}

/// Whoever may fetch could else begin a push that Bitgate takes for a fetch.
#[test]
fn only_the_query_of_git_itself_is_a_fetch() {
    let site = Site::start("query");
    let get = |target: String| {
        let request = http::Request::get(target).body(Vec::new()).unwrap();
        let answer = site.send(Some(LINUS), request);
        (
            answer.status().as_u16(),
            header(&answer, "x-bitgate-reason").to_owned(),
            body(&answer),
        )
    };
    let refs = |query: &str| get(format!("{WIDGETS}/info/refs{query}"));
    assert_eq!(refs("?service=git-upload-pack").0, 200);
    let passed = site.passed().len();
    let closed = |(status, reason, text): (u16, String, String)| {
        assert_eq!((status, reason.as_str()), (403, "forbidden"));
        assert_eq!(
            text,
            "This page is closed (forbidden). Nobody may open it.\n"
        );
    };
    for query in [
        "",
        "?",
        "?service=git-upload-pack&service=git-receive-pack",
        "?service=git-receive-pack&service=git-upload-pack",
        "?service=git-upload-pack;service=git-receive-pack",
        "?service=git%2Dreceive-pack",
        "?%73ervice=git-receive-pack",
        "?service=git-upload-pack&",
        "?service=GIT-UPLOAD-PACK",
        "?x=1&service=git-receive-pack",
    ] {
        closed(refs(query));
    }
    // Files one by one, and what is none of git's.
    for path in [
        "/acme/widgets.git/HEAD",
        "/acme/widgets.git/objects/info/packs",
        "/acme/widgets.git/info/alternates",
        "/acme/widgets.git/info/lfs/objects/batch",
        "/acme/widgets",
        "/acme",
        "/site/oauth2/authorize",
    ] {
        closed(get(path.to_owned()));
    }
    let (status, reason, _) = refs("?service=git-receive-pack");
    assert_eq!((status, reason.as_str()), (403, "insufficient_permission"));
    assert_eq!(site.passed().len(), passed);
}
