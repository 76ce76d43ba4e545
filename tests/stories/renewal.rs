//! A session outlives its tokens: renewed once, for all, and nobody notices.

use bitgate_simulator::bitbucket::{Fault, FaultResponse};

use crate::support::browser::{Browser, Jar, body, header};
use crate::support::setup::Setup;
use crate::support::world::World;

const TOKEN: &str = "/site/oauth2/access_token";

/// Tokens live for 1,000 seconds: renewed from 750 to 800 on.
fn short() -> Setup {
    Setup {
        bitbucket: |settings| {
            settings.access_lifetime = 1_000;
            settings.reuse_window = 0;
        },
        config: |config| {
            config["session"]["max_age"] = "12h".into();
            config["session"]["idle_timeout"] = "12h".into();
        },
        ..Setup::with_clock()
    }
}

fn signed_in(world: &mut World) -> Browser<'_> {
    let ada = world.person("ada");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &ada).status(), 302);
    assert_eq!(browser.open("/").status(), 200);
    browser
}

fn grant_of(jar: &Jar) -> String {
    jar.0["__Host-bitgate-grant"].clone()
}

fn renewals(world: &World) -> usize {
    let bitbucket = world.bitbucket();
    let asked = bitbucket
        .ledger()
        .iter()
        .filter(|entry| entry.path == TOKEN);
    asked
        .filter(|entry| entry.grant_type.as_deref() == Some("refresh_token"))
        .count()
}

/// The token that reached the upstream is one that Bitbucket takes now.
fn token_works(world: &World) {
    let upstream = world.upstream();
    let seen = upstream
        .last_request()
        .unwrap()
        .header("authorization")
        .unwrap()
        .to_owned();
    let token = seen.strip_prefix("Bearer ").unwrap();
    assert!(
        world.bitbucket().is_good(world.around.clock.now(), token),
        "an expired token"
    );
}

story!(
    a_session_is_renewed_before_its_token_ends,
    short(),
    |world| {
        let mut browser = signed_in(world);
        let first = grant_of(&browser.jar);
        browser.world.advance(700);
        browser.open("/");
        assert_eq!(
            (grant_of(&browser.jar), renewals(browser.world)),
            (first.clone(), 0)
        );
        browser.world.advance(110);
        let answer = browser.open("/");
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "cache-control"), "private, no-store");
        assert_ne!(
            grant_of(&browser.jar),
            first,
            "the new cookie left with the response"
        );
        assert_eq!(renewals(browser.world), 1);
        token_works(browser.world);
        // From here on the new one, without another call.
        browser.world.advance(300);
        assert_eq!(browser.open("/").status(), 200);
        assert_eq!(renewals(browser.world), 1);
        token_works(browser.world);
    }
);

story!(a_session_lives_through_many_renewals, short(), |world| {
    let mut browser = signed_in(world);
    for round in 1..=20 {
        browser.world.advance(810);
        assert_eq!(browser.fetch("/").status(), 200);
        assert_eq!(renewals(browser.world), round);
        token_works(browser.world);
    }
});

story!(
    after_the_end_of_the_token_a_request_waits_for_the_next_one,
    short(),
    |world| {
        let mut browser = signed_in(world);
        browser.world.advance(5_000);
        let answer = browser.open("/");
        assert_eq!(answer.status(), 200, "{}", body(&answer));
        assert_eq!(renewals(browser.world), 1);
        token_works(browser.world);
        assert_eq!(browser.open("/").status(), 200);
        assert_eq!(renewals(browser.world), 1);
    }
);

story!(
    who_still_has_the_old_cookie_gets_the_new_one,
    short(),
    |world| {
        let mut browser = signed_in(world);
        let old = browser.jar.clone();
        browser.world.advance(810);
        browser.open("/");
        let new = grant_of(&browser.jar);
        for seconds in [0, 50, 300] {
            browser.world.advance(seconds);
            browser.jar = old.clone();
            assert_eq!(browser.open("/").status(), 200);
            assert_eq!(grant_of(&browser.jar), new);
            token_works(browser.world);
        }
        assert_eq!(
            renewals(browser.world),
            1,
            "no refresh token was used twice"
        );
    }
);

story!(an_outage_at_renewal_ends_no_session, short(), |world| {
    let mut browser = signed_in(world);
    let fault = |world: &World, times| {
        world.bitbucket().fail_next(Fault {
            path: TOKEN.to_owned(),
            times,
            response: FaultResponse::Status(503),
        });
    };
    fault(browser.world, 100);
    browser.world.advance(810);
    // The token still works, so nobody notices.
    for _ in 0..5 {
        assert_eq!(browser.open("/").status(), 200);
    }
    assert_eq!(
        renewals(browser.world),
        0,
        "one call was made, and it failed"
    );
    let asked = browser.world.bitbucket().count(TOKEN);
    assert_eq!(asked, 2, "not every request tries");
    // Then it has ended: people get a page, programs a status, and nobody a sign-in.
    browser.world.advance(300);
    for _ in 0..3 {
        let page = browser.open("/");
        assert_eq!(
            (page.status().as_u16(), header(&page, "x-bitgate-reason")),
            (503, "renewal_unavailable")
        );
        assert!(body(&page).contains("You are still signed in"));
        assert_eq!(header(&page, "retry-after"), "10");
        assert_eq!(browser.fetch("/").status(), 503);
    }
    assert!(browser.world.bitbucket().count(TOKEN) <= asked + 2);
    browser.world.bitbucket().forgive();
    browser.world.advance(31);
    assert_eq!(browser.open("/").status(), 200, "still signed in");
    token_works(browser.world);
});

story!(the_circuit_opens_and_probes, short(), |world| {
    world.bitbucket().fail_next(Fault {
        path: "/nothing".to_owned(),
        times: 1,
        response: FaultResponse::Reset,
    });
    let jars: Vec<Jar> = (0..12).map(|_| signed_in(world).jar).collect();
    world.bitbucket().forgive();
    world.bitbucket().fail_next(Fault {
        path: TOKEN.to_owned(),
        times: 1_000,
        response: FaultResponse::Status(500),
    });
    world.advance(1_100);
    let before = world.bitbucket().count(TOKEN);
    for jar in &jars {
        let mut browser = world.browser();
        browser.jar = jar.clone();
        assert_eq!(browser.fetch("/").status(), 503);
    }
    assert_eq!(
        world.bitbucket().count(TOKEN),
        before + 5,
        "after five failures nobody asks"
    );
    world.advance(31);
    for jar in &jars {
        let mut browser = world.browser();
        browser.jar = jar.clone();
        assert_eq!(browser.fetch("/").status(), 503);
    }
    assert_eq!(world.bitbucket().count(TOKEN), before + 6, "one probe");
    world.bitbucket().forgive();
    world.advance(31);
    for jar in &jars {
        let mut browser = world.browser();
        browser.jar = jar.clone();
        assert_eq!(browser.fetch("/").status(), 200);
    }
});

story!(a_closed_account_ends_with_its_token, short(), |world| {
    let mut browser = signed_in(world);
    let ada = browser.world.person("ada");
    browser.world.bitbucket().close_account(&ada);
    for seconds in [810, 20, 200] {
        browser.world.advance(seconds);
        browser.open("/");
    }
    let answer = browser.fetch("/");
    assert_eq!(
        (
            answer.status().as_u16(),
            header(&answer, "x-bitgate-reason")
        ),
        (401, "grant_refused")
    );
});

story!(
    a_revoked_grant_ends_with_its_token_and_not_in_a_loop,
    short(),
    |world| {
        let mut browser = signed_in(world);
        let ada = browser.world.person("ada");
        browser.world.advance(810);
        browser.world.bitbucket().revoke(&ada);
        // Refused, which could also be a lost race: the token is good until it ends.
        assert_eq!(browser.open("/").status(), 200);
        browser.world.advance(20);
        assert_eq!(browser.open("/").status(), 200);
        browser.world.advance(200);
        let answer = browser.open("/");
        assert_eq!(
            (
                answer.status().as_u16(),
                header(&answer, "x-bitgate-reason")
            ),
            (302, "grant_refused")
        );
        assert_eq!(browser.sign_in("/page", &ada).status(), 302);
        assert_eq!(browser.open("/page").status(), 200, "a new sign-in works");
    }
);

story!(
    a_consumer_without_rotation_is_renewed_too,
    Setup {
        bitbucket: |settings| {
            settings.mode = bitgate_simulator::bitbucket::Mode::Legacy;
            settings.access_lifetime = 1_000;
        },
        config: |config| config["session"]["idle_timeout"] = "12h".into(),
        ..Setup::with_clock()
    },
    |world| {
        let mut browser = signed_in(world);
        for round in 1..=3 {
            browser.world.advance(1_200);
            assert_eq!(browser.open("/").status(), 200);
            assert_eq!(renewals(browser.world), round);
            token_works(browser.world);
        }
    }
);

story!(
    a_large_upload_waits_for_a_renewal_and_arrives_whole,
    short(),
    |world| {
        let mut browser = signed_in(world);
        browser.world.advance(5_000);
        browser.world.bitbucket().fail_next(Fault {
            path: TOKEN.to_owned(),
            times: 1,
            response: FaultResponse::Slow(300),
        });
        let body: Vec<u8> = (0..10_485_760_u32)
            .map(|number| (number % 251) as u8)
            .collect();
        let request = http::Request::post("/upload").header("sec-fetch-site", "same-origin");
        assert_eq!(
            browser.send(request.body(body.clone()).unwrap()).status(),
            200
        );
        assert_eq!(renewals(browser.world), 1);
        let upstream = browser.world.upstream();
        assert!(
            upstream.last_request().unwrap().body == body,
            "not the same bytes"
        );
    }
);

// The response that brought the new name was lost, and what was published about it is forgotten: the worker
// that knows the old grant by its cookies must not use its refresh token again.
story!(
    a_used_refresh_token_is_not_sent_again,
    Setup {
        bitbucket: |settings| {
            settings.access_lifetime = 1_000;
            settings.reuse_window = 0;
        },
        config: |config| config["session"]["idle_timeout"] = "12h".into(),
        ..Setup::with_clock()
    },
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("/", &ada).status(), 302);
        let old = browser.jar.clone();
        assert_eq!(browser.open("/").status(), 200);
        browser.world.advance(810);
        assert_eq!(browser.open("/").status(), 200, "it is renewed");
        for seconds in [900, 3_000] {
            browser.jar = old.clone();
            browser.world.advance(seconds);
            assert_eq!(browser.open("/").status(), 200, "after {seconds} s");
        }
        let bitbucket = browser.world.bitbucket();
        let used = bitbucket.ledger().iter();
        let mut used: Vec<_> = used
            .filter_map(|entry| entry.refresh_token.clone())
            .collect();
        let count = used.len();
        used.sort();
        used.dedup();
        assert_eq!((count, used.len()), (3, 3), "each was used once");
    }
);
