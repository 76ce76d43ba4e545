//! Bodies as git sends them: large, in chunks, compressed, and not before somebody says so.

use crate::site::{GRACE, LINUS, Site, WIDGETS, noise};

const MEGABYTE: usize = 1_024 * 1_024;

#[test]
fn a_hundred_megabytes_go_in_and_out() {
    let site = Site::start("large");
    let address = site.address(Some(GRACE), WIDGETS);
    site.git(&["clone", "--quiet", &address, "one"]);
    // Nothing of it can be compressed, so git need not try.
    site.git(&["config", "--global", "core.compression", "0"]);
    site.commit("one", "large", &noise(100 * MEGABYTE));
    for number in 0..40 {
        site.commit("one", "file", format!("{number}").as_bytes());
        site.git(&["-C", "one", "branch", &format!("branch-{number}")]);
    }
    site.git(&["-C", "one", "push", "--quiet", "--all", "origin"]);
    site.git(&["clone", "--quiet", &address, "two"]);
    let large = site.read("two/large");
    assert!(large == noise(large.len()) && large.len() == 100 * MEGABYTE);
    let passed = site.passed();
    let has = |path: &str, header: &str| {
        let mut entries = passed.iter().filter(|entry| entry.path.ends_with(path));
        entries.any(|entry| entry.headers.iter().any(|name| name == header))
    };
    assert!(has("/git-receive-pack", "transfer-encoding"), "chunked");
    assert!(has("/git-upload-pack", "content-encoding"), "compressed");
}

/// The body of somebody whom nobody knows yet is on its way while Bitbucket is asked about them.
#[test]
fn a_body_waits_for_the_decision() {
    let site = Site::start("waits");
    let target = format!("{WIDGETS}/git-receive-pack");
    let body = [b"0000".to_vec(), noise(8 * MEGABYTE)].concat();
    let push = http::Request::post(&target)
        .header("content-type", "application/x-git-receive-pack-request");
    let answer = site.send(Some(GRACE), push.body(body).unwrap());
    assert_eq!(answer.status(), 200);
    assert_eq!(site.passed().len(), 1);
    assert_eq!(site.push_unasked(Some(LINUS), &target), "HTTP/1.1 403");
    assert_eq!(site.passed().len(), 1);
}

#[test]
fn who_asks_whether_to_send_hears_it_from_who_decides() {
    let site = Site::start("expect");
    let target = format!("{WIDGETS}/git-receive-pack");
    let (first, rest) = site.ask(Some(GRACE), &target);
    assert_eq!(first, "HTTP/1.1 100");
    let is_done = rest.contains("HTTP/1.1 200") && rest.contains("git-receive-pack-result");
    assert!(is_done, "{rest}");
    assert_eq!(site.ask(Some(LINUS), &target).0, "HTTP/1.1 403");
    assert_eq!(site.ask(None, &target).0, "HTTP/1.1 401");
    let passed = site.passed();
    assert_eq!(passed.len(), 1);
    assert!(passed[0].headers.iter().any(|name| name == "expect"));
}
