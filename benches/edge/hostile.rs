//! What nobody would send who means well.

use std::rc::Rc;

use bitgate_simulator::client::Protocol;

use crate::browser::Jar;
use crate::row::{Behind, Row, Traffic, get, with};
use crate::rows::{LONG, SHORT};
use crate::site::{Filter, Plan};
use crate::stage::Stage;
use crate::support::Request;

/// Variants of a thing that is to be another one each time.
const VARIANTS: usize = 1_000;

/// Above this Envoy refuses a request by itself.
const LARGE: usize = 60_000;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for tokens in [SHORT, LONG] {
        rows.push(of_cookies(
            format!("hostile-garbage-{tokens}"),
            "cookies of our names and lengths that hold garbage",
            tokens,
            garbage,
        ));
        rows.push(of_cookies(
            format!("hostile-colliding-{tokens}"),
            "a session's cookies with another character in the middle each time",
            tokens,
            colliding,
        ));
    }
    let oversized = of_cookies(
        "hostile-oversized",
        "a cookie of our name of 60,000 bytes",
        SHORT,
        oversized,
    );
    let same_name = of_cookies(
        "hostile-same-name",
        "500 cookies of our names",
        SHORT,
        same_name,
    );
    let many = many_cookies();
    let large = of_tokens(
        "hostile-bearer-large",
        "a bearer token of 60,000 bytes",
        |_, _| {
            let part = "A".repeat(LARGE / 3);
            format!("{part}.{part}.{part}")
        },
    );
    rows.extend([
        oversized.without_filter("bare-oversized", "a cookie of 60,000 bytes"),
        oversized,
        same_name.without_filter("bare-same-name", "500 cookies of our names"),
        same_name,
        many.without_filter("bare-many", "500 cookies of others"),
        many,
        large.without_filter("bare-bearer-large", "a bearer token of 60,000 bytes"),
        large,
        of_tokens(
            "hostile-bearer-garbage",
            "a bearer token that is none",
            |_, _| "e30.e30.e30".to_owned(),
        ),
        of_tokens(
            "hostile-bearer-forged",
            "a pipeline's token with another signature each time",
            forged,
        ),
    ]);
    rows
}

fn site(tokens: usize) -> Plan {
    Plan {
        name: "hostile",
        ..Plan::of(Filter::Bitgate, tokens)
    }
}

fn row(
    name: impl Into<String>,
    text: &str,
    status: u16,
    tokens: usize,
    requests: impl Fn(&mut Stage) -> Vec<Request> + 'static,
) -> Row {
    Row {
        name: name.into(),
        text: format!("hostile: {text}"),
        protocol: Protocol::Http1,
        native: None,
        prepare: Rc::new(move |stage| Traffic {
            plan: site(tokens),
            requests: requests(stage),
            status,
            behind: Behind::Whatever,
        }),
    }
}

fn of_cookies(
    name: impl Into<String>,
    text: &str,
    tokens: usize,
    made: fn(&Jar) -> Vec<String>,
) -> Row {
    row(name, text, 401, tokens, move |stage| {
        let jar = &stage.sessions(&site(tokens), 1)[0];
        made(jar)
            .iter()
            .map(|cookies| with(get("/x"), "cookie", cookies))
            .collect()
    })
}

fn joined<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

fn garbage(jar: &Jar) -> Vec<String> {
    let pairs = jar.pairs("/x");
    vec![joined(
        pairs
            .iter()
            .map(|(name, value)| (*name, "A".repeat(value.len()))),
    )]
}

fn colliding(jar: &Jar) -> Vec<String> {
    let pairs = jar.pairs("/x");
    let changed = |variant: usize, value: &str| {
        let mut bytes = value.as_bytes().to_vec();
        let at = bytes.len() / 4 + variant % (bytes.len() / 2);
        bytes[at] = if bytes[at] == b'B' { b'C' } else { b'B' };
        String::from_utf8(bytes).unwrap()
    };
    let cookies = |variant| {
        joined(
            pairs
                .iter()
                .map(|(name, value)| (*name, changed(variant, value))),
        )
    };
    (0..VARIANTS).map(cookies).collect()
}

fn oversized(jar: &Jar) -> Vec<String> {
    let pairs = jar.pairs("/x");
    let (name, _) = pairs.first().unwrap();
    vec![format!("{name}={}", "A".repeat(LARGE))]
}

fn same_name(jar: &Jar) -> Vec<String> {
    let pairs = jar.pairs("/x");
    let names = pairs.iter().map(|(name, _)| *name).cycle().take(500);
    vec![joined(
        names
            .enumerate()
            .map(|(number, name)| (name, format!("A{number}"))),
    )]
}

fn many_cookies() -> Row {
    row(
        "hostile-many",
        "500 cookies of others beside a good session",
        200,
        SHORT,
        |stage| {
            let jar = &stage.sessions(&site(SHORT), 1)[0];
            let others: Vec<String> = (0..500)
                .map(|number| format!("c{number}=v{number}"))
                .collect();
            let cookies = format!("{}; {}", others.join("; "), jar.header("/x"));
            vec![with(get("/x"), "cookie", &cookies)]
        },
    )
}

fn of_tokens(name: &str, text: &str, made: fn(usize, &str) -> String) -> Row {
    row(name, text, 401, SHORT, move |stage| {
        let token = &stage.step_tokens(&site(SHORT), 1)[0];
        let request = |variant| {
            let value = format!("Bearer {}", made(variant, token));
            with(get("/pipelines/x"), "authorization", &value)
        };
        // One that is the same each time is large, or nothing that anybody would remember.
        let first = made(0, token);
        let variants = if made(1, token) == first { 1 } else { VARIANTS };
        (0..variants).map(request).collect()
    })
}

/// With two characters of the signature exchanged for others.
fn forged(variant: usize, token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = signature.as_bytes().to_vec();
    for (at, digit) in [(10, variant / 32), (200, variant % 32)] {
        let letter = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[digit];
        bytes[at] = if bytes[at] == letter { b'_' } else { letter };
    }
    format!("{signed}.{}", String::from_utf8(bytes).unwrap())
}
