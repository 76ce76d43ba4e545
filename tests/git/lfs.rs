//! git-lfs: what it says goes through Bitgate, objects go to their own host.

use bitgate_simulator::bitbucket::CredentialKind;
use serde_json::Value;

use crate::site::{GRACE, LINUS, Login, Site, WIDGETS, noise};
use crate::support::browser::{body, header};

#[test]
fn objects_go_to_their_own_host_with_their_own_header() {
    let site = Site::start("lfs");
    site.git(&["lfs", "install"]);
    site.git(&[
        "clone",
        "--quiet",
        &site.address(Some(GRACE), WIDGETS),
        "one",
    ]);
    site.git(&["-C", "one", "lfs", "track", "*.bin"]);
    let content = noise(5_000_000);
    site.commit("one", "large.bin", &content);
    site.git(&["-C", "one", "push", "--quiet", "origin", "HEAD:main"]);
    site.git(&["-C", "one", "lfs", "locks"]);
    let step = site.step("widgets", "dev");
    for (name, login) in [("two", LINUS), ("three", (step.0, step.1.as_str()))] {
        site.git(&[
            "clone",
            "--quiet",
            &site.address(Some(login), WIDGETS),
            name,
        ]);
        assert!(site.read(&format!("{name}/large.bin")) == content);
    }
    let passed = site.passed();
    let batches = passed
        .iter()
        .filter(|entry| entry.path.ends_with("/info/lfs/objects/batch"));
    let kinds: Vec<_> = batches.map(|entry| entry.credential).collect();
    let expected = [
        CredentialKind::ApiToken,
        CredentialKind::ApiToken,
        CredentialKind::AccessToken,
    ];
    assert_eq!(kinds, expected, "in; out, out by the bot");
    {
        let bitbucket = site.bitbucket();
        let media = bitbucket.ledger().iter();
        let media: Vec<_> = media
            .filter(|entry| entry.kind == "/_media/{object}")
            .collect();
        assert_eq!(media.len(), 4, "in, verified, out, out");
        for entry in media {
            assert_eq!(
                (entry.credential, entry.status),
                (CredentialKind::Media, 200)
            );
            let is_ours =
                |name: &String| name.starts_with("x-bitgate") || name.starts_with("x-forwarded");
            assert!(!entry.headers.iter().any(is_ours), "{:?}", entry.headers);
        }
    }

    // A rule cannot see that a batch is an upload: Bitbucket does, since the credential is a reader's.
    for (name, login) in [("two", LINUS), ("three", (step.0, step.1.as_str()))] {
        site.commit(name, "more.bin", name.as_bytes());
        let address = site.address(Some(login), WIDGETS);
        let said = site.refused(&["-C", name, "lfs", "push", &address, "main"]);
        assert!(
            said.contains("You may read this repository, but not push to it"),
            "{said}"
        );
    }
}

#[test]
fn git_lfs_says_why_it_is_refused() {
    let site = Site::start("lfs-refused");
    let batch = |login: Option<Login<'_>>, path: &str| {
        let media_type = "application/vnd.git-lfs+json";
        let request = http::Request::post(format!("{path}/info/lfs/objects/batch"))
            .header("accept", media_type)
            .header("content-type", media_type);
        let answer = site.send(login, request.body(b"{}".to_vec()).unwrap());
        assert_eq!(header(&answer, "content-type"), media_type);
        let document: Value = serde_json::from_str(&body(&answer)).unwrap();
        let challenge = header(&answer, "www-authenticate").to_owned();
        (
            answer.status().as_u16(),
            challenge,
            document["message"].as_str().unwrap().to_owned(),
        )
    };
    let (status, challenge, message) = batch(None, WIDGETS);
    assert_eq!(
        (status, challenge.as_str()),
        (401, "Basic realm=\"bitgate\"")
    );
    assert!(
        message.contains("(no_session). Use the e-mail address"),
        "{message}"
    );
    let (status, challenge, message) = batch(Some(LINUS), "/acme/secrets.git");
    assert_eq!((status, challenge.as_str()), (403, ""));
    assert!(message.contains("(insufficient_permission)"), "{message}");

    site.git(&["lfs", "install"]);
    site.git(&[
        "clone",
        "--quiet",
        &site.address(Some(GRACE), WIDGETS),
        "one",
    ]);
    site.git(&["-C", "one", "lfs", "track", "*.bin"]);
    site.commit("one", "a.bin", b"content");
    let before = site.passed().len();
    let wrong = ("grace@example.com", "ATATT3xFfGF0-no-such-token");
    for (login, path, expected) in [
        (
            wrong,
            WIDGETS,
            "Bitbucket does not accept this credential (credential_refused).",
        ),
        (
            LINUS,
            "/acme/secrets.git",
            "You lack a permission at Bitbucket (insufficient_permission).",
        ),
    ] {
        let address = site.address(Some(login), path);
        let said = site.refused(&["-C", "one", "lfs", "push", &address, "main"]);
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(site.passed().len(), before);
}
