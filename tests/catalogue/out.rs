//! OUT: signing out, and nobody else doing it.

use super::case::{Case, ada, empty, get, post, reason, refused};
use crate::support::browser::{SITE, body, header, location};

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("OUT-01", |world| {
            let mut browser = ada(world);
            // An image on a page of somebody else.
            let image = get("/_bitgate/logout")
                .header("accept", "image/*")
                .header("sec-fetch-mode", "no-cors");
            assert_eq!(
                browser
                    .send(empty(image.header("sec-fetch-site", "cross-site")))
                    .status(),
                200
            );
            let page = browser.open("/_bitgate/logout");
            assert_eq!(page.status(), 200);
            assert!(
                body(&page).contains("<form method=\"post\" action=\"/_bitgate/logout\">"),
                "{}",
                body(&page)
            );
            assert_eq!(browser.open("/").status(), 200, "still signed in");
        }),
        Case::both("OUT-02", |world| {
            let mut browser = ada(world);
            for (name, value) in [
                ("origin", "https://evil.test"),
                ("origin", "null"),
                ("origin", "http://localhost:10001"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
            ] {
                let answer = browser.send(empty(post("/_bitgate/logout").header(name, value)));
                assert_eq!(
                    (answer.status().as_u16(), reason(&answer)),
                    (403, "cross_site"),
                    "{name}: {value}"
                );
            }
            assert_eq!(browser.open("/").status(), 200, "still signed in");
        }),
        Case::both("OUT-03", |world| {
            let mut browser = ada(world);
            browser.open("/_bitgate/login?rd=/abandoned");
            assert!(browser.jar.0.len() >= 4);
            let sign_out = post("/_bitgate/logout")
                .header("origin", SITE)
                .header("sec-fetch-site", "same-origin");
            let answer = browser.send(empty(sign_out));
            assert_eq!(answer.status(), 303);
            assert_eq!(location(&answer), format!("{SITE}/_bitgate/logout"));
            assert!(browser.jar.0.is_empty(), "{:?}", browser.jar.names());
            // Where it leads says so, and starts no login, however often it is loaded.
            for _ in 0..2 {
                let page = browser.open("/_bitgate/logout");
                assert_eq!(page.status(), 200);
                assert!(
                    body(&page).contains("You are signed out")
                        && body(&page).contains("href=\"/_bitgate/login\"")
                );
                assert!(browser.jar.0.is_empty());
            }
            assert_eq!(browser.open("/").status(), 302);
        }),
        Case::both("OUT-04", |world| {
            // Browsers ignore a removal whose attributes differ; `Jar::take` asserts them on every line.
            let jar = ada(world).jar;
            let request = post("/_bitgate/logout").header("cookie", jar.header());
            let answer = world.send(empty(request));
            let lines: Vec<_> = answer
                .headers()
                .get_all("set-cookie")
                .iter()
                .map(|v| v.to_str().unwrap())
                .collect();
            for name in jar.names() {
                let path = match name.strip_prefix("__Secure-") {
                    Some(_) => "/_bitgate/",
                    None => "/",
                };
                let wanted =
                    format!("{name}=; Max-Age=0; Path={path}; Secure; HttpOnly; SameSite=Lax");
                assert!(lines.contains(&wanted.as_str()), "{name}: {lines:?}");
            }
        }),
        Case::both("OUT-05", |world| {
            let mut browser = ada(world);
            let copy = browser.jar.clone();
            browser.send(empty(post("/_bitgate/logout").header("origin", SITE)));
            browser.jar = copy;
            let answer = browser.open("/");
            assert_eq!(
                (answer.status().as_u16(), reason(&answer)),
                (302, "session_revoked")
            );
        }),
        Case::both("OUT-06", |world| {
            for rd in [
                "//evil.test",
                "https://evil.test",
                "/elsewhere",
                "/%0d%0ax:y",
            ] {
                for name in ["rd", "post_logout_redirect_uri", "redirect", "next"] {
                    let request =
                        post(&format!("/_bitgate/logout?{name}={rd}")).header("origin", SITE);
                    assert_eq!(
                        location(&world.send(empty(request))),
                        format!("{SITE}/_bitgate/logout")
                    );
                }
            }
        }),
        Case::both("OUT-09", |world| {
            let answer = world.send(empty(post("/_bitgate/logout").header("origin", SITE)));
            assert_eq!(header(&answer, "clear-site-data"), "\"cache\"");
            assert_eq!(header(&answer, "cache-control"), "private, no-store");
        }),
        Case::both("OUT-10", |world| {
            let mut browser = ada(world);
            let calls = browser.world.bitbucket_calls();
            for query in [
                "sid=abc",
                "iss=https://evil.test&sid=abc",
                "logout_token=a.b.c",
            ] {
                browser.open(&format!("/_bitgate/logout?{query}"));
            }
            refused(
                browser.world,
                empty(get("/_bitgate/backchannel")),
                404,
                "not_found",
            );
            assert_eq!(
                browser.world.bitbucket_calls(),
                calls,
                "nothing was revoked"
            );
            assert_eq!(browser.open("/").status(), 200, "still signed in");
        }),
    ]
}
