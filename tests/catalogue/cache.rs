//! CACHE: what is for one person is stored by nobody else.

use super::case::{Case, ada, empty, get, navigation, raw, turned_away};
use crate::support::browser::{header, location};
use crate::support::setup::Setup;

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("CACHE-03", |world| {
            let jar = ada(world).jar;
            let with_session = |path: &str| empty(get(path).header("cookie", jar.header()));
            assert_eq!(
                header(&world.send(with_session("/")), "cache-control"),
                "private, no-cache"
            );
            // What the service says about it stays, and so does a public answer.
            world.upstream().response_headers =
                vec![("cache-control", "public, max-age=60".to_owned())];
            assert_eq!(
                header(&world.send(with_session("/")), "cache-control"),
                "public, max-age=60"
            );
            world.upstream().response_headers.clear();
            assert_eq!(
                header(&world.send(with_session("/public/x")), "cache-control"),
                ""
            );
        }),
        Case::both("CACHE-04", |world| {
            for target in [
                "/account/x.css",
                "/account%2f..%2fstatic/x.js",
                "/account;.js",
                "/account/.css",
                "/account%00.css",
            ] {
                let answer = turned_away(world, empty(raw(target.as_bytes())));
                assert_eq!(
                    header(&answer, "cache-control"),
                    "private, no-store",
                    "{target}"
                );
            }
            let jar = ada(world).jar;
            let answer = world.send(empty(get("/account/x.css").header("cookie", jar.header())));
            assert_eq!(header(&answer, "cache-control"), "private, no-cache");
        }),
        Case::both("CACHE-05", |world| {
            let plain = location(&world.send(navigation(get("/page"))));
            for (name, value) in [
                ("x-forwarded-host", "evil.test"),
                ("x-original-url", "/other"),
                ("x-forwarded-port", "1"),
            ] {
                let request = navigation(get("/page").header(name, value));
                let other = location(&world.send(request));
                let without_state = |url: &str| url.split("state=").next().unwrap().to_owned();
                assert_eq!(without_state(&other), without_state(&plain), "{name}");
            }
            let mut fat = navigation(get("/page"));
            *fat.body_mut() = b"rd=//evil.test".to_vec();
            assert!(!location(&world.send(fat)).contains("evil"));
        }),
        Case::both("CACHE-06", |world| {
            // Back after a sign-out: the page has to ask again, and the answer is a sign-in.
            let mut browser = ada(world);
            assert_eq!(
                header(&browser.open("/page"), "cache-control"),
                "private, no-cache"
            );
            browser.jar.0.clear();
            assert_eq!(browser.open("/page").status(), 302);
        }),
        Case::both("CACHE-08", |world| {
            let mut browser = ada(world);
            browser.world.upstream().response_headers =
                vec![("cache-control", "public, max-age=600".to_owned())];
            browser.world.advance(600);
            let answer = browser.open("/");
            assert!(answer.headers().contains_key("set-cookie"));
            assert_eq!(header(&answer, "cache-control"), "private, no-store");
        })
        .with(Setup::with_clock),
    ]
}
