//! Steps of Bitbucket Pipelines, with the token that Bitbucket signed for them.

use bitgate_simulator::bitbucket::{CredentialKind, Step};

use crate::site::{Site, WIDGETS};

#[test]
fn a_step_clones_and_pushes_where_the_rule_allows_and_nowhere_else() {
    let site = Site::start("pipelines");
    let at = |(user, token): &(&str, String), path: &str| site.address(Some((user, token)), path);
    let deploys = site.deploying("widgets", "main");
    site.git(&["clone", "--quiet", &at(&deploys, WIDGETS), "one"]);
    site.commit("one", "file", b"second");
    site.git(&["-C", "one", "push", "--quiet", "origin", "HEAD:main"]);
    let builds = site.step("widgets", "dev");
    site.git(&["clone", "--quiet", &at(&builds, WIDGETS), "two"]);
    assert_eq!(site.read("two/file"), b"second");

    let passed = site.passed();
    for entry in &passed {
        // Never the step's own: bots act for it, and the one that fetches cannot push.
        let is_push = entry.path.ends_with("/git-receive-pack");
        let is_fetch = entry.path.ends_with("/git-upload-pack");
        let bots = [CredentialKind::AppUser, CredentialKind::AccessToken];
        assert!(bots.contains(&entry.credential), "{:?}", entry.credential);
        assert!(!is_push || entry.credential == CredentialKind::AppUser);
        assert!(!is_fetch || entry.credential == CredentialKind::AccessToken);
        assert_eq!(
            (entry.user.as_deref(), entry.status),
            (Some("x-token-auth"), 200)
        );
    }
    assert!(
        passed
            .iter()
            .any(|entry| entry.path.ends_with("/git-receive-pack"))
    );

    let push = |login: &(&str, String), path: &str| {
        site.refused(&["-C", "one", "push", &at(login, path), "HEAD:refs/heads/new"])
    };
    let clone =
        |login: &(&str, String), path: &str| site.refused(&["clone", &at(login, path), "three"]);
    let other = "remote: This is for other pipelines (pipeline_not_allowed).";
    let secrets = "/acme/secrets.git";
    let table = [
        (
            "another branch",
            push(&site.deploying("widgets", "dev"), WIDGETS),
            other,
        ),
        (
            "no environment",
            push(&site.step("widgets", "main"), WIDGETS),
            other,
        ),
        (
            "another repository's",
            push(&site.deploying("gadgets", "main"), WIDGETS),
            other,
        ),
        (
            "another repository's",
            clone(&site.step("gadgets", "main"), WIDGETS),
            other,
        ),
        ("to another repository", push(&deploys, secrets), other),
        ("of another repository", clone(&deploys, secrets), other),
        ("of none", clone(&deploys, "/acme/no-such.git"), other),
        (
            "of another workspace",
            clone(&deploys, "/beta-labs/lab.git"),
            "remote: This page is closed (forbidden).",
        ),
        (
            "from another workspace",
            clone(
                &site.step_as(&Step::of("beta-labs", "lab", "main")),
                WIDGETS,
            ),
            "remote: Please sign in (no_session).",
        ),
        (
            "expired",
            clone(
                &site.step_as(&Step {
                    exp_offset: Some(-120),
                    iat_offset: -600,
                    ..Step::of("acme", "widgets", "main")
                }),
                WIDGETS,
            ),
            "remote: This token has expired (token_expired).",
        ),
        (
            "for somebody else",
            clone(
                &site.step_as(&Step {
                    audiences: vec!["elsewhere".to_owned()],
                    ..Step::of("acme", "widgets", "main")
                }),
                WIDGETS,
            ),
            "remote: This token is for somebody else (wrong_audience).",
        ),
        (
            "forged",
            clone(
                &(
                    deploys.0,
                    format!("{}AAAA", &deploys.1[..deploys.1.len() - 4]),
                ),
                WIDGETS,
            ),
            "remote: This token is not accepted (invalid_token).",
        ),
    ];
    for (what, said, expected) in table {
        assert!(said.contains(expected), "{what}: {said}");
    }
    assert_eq!(
        site.passed().len(),
        passed.len(),
        "what is refused does not reach Bitbucket"
    );
    let bitbucket = site.bitbucket();
    let mut kinds = bitbucket.ledger().iter().map(|entry| entry.credential);
    assert!(!kinds.any(|kind| kind == CredentialKind::StepToken));
}
