//! The boxes of a session and its grant.

use std::hint::black_box;
use std::rc::Rc;

use bitgate::host::{Host, NativeSignatures};
use bitgate::http::{Cookies, Headers, SetCookie};
use bitgate::identity::Identity;
use bitgate::oauth::{AccessToken, RefreshToken};
use bitgate::session::{Grant, Issued, KeyRing, Lifetimes, SessionKey, SessionStore};
use bitgate::time::Seconds;
use criterion::{BatchSize, Criterion};

use crate::workload::case::{LARGE, SMALL};
use crate::workload::host::{Memory, NOW, Seeded};

const DAY: Seconds = Seconds::from_hours(24);

fn store() -> SessionStore {
    let key = SessionKey::new("demo", [7; 32].into()).unwrap();
    let ring = KeyRing::new("http://localhost:10000", &[key]).unwrap();
    let lifetimes = Lifetimes {
        max_age: DAY,
        idle_timeout: DAY,
    };
    SessionStore::new(ring, "demo-consumer", lifetimes)
}

fn identity() -> Identity {
    Identity {
        account_id: "557058:3f2a9c04-0b1d-4e5f-8a67-1c2d3e4f5a6b".to_owned(),
        email: Some("ada@example.com".to_owned()),
        nickname: Some("Ada".to_owned()),
    }
}

fn grant(token_bytes: usize) -> Grant {
    Grant {
        access_token: AccessToken::new("a".repeat(token_bytes)),
        refresh_token: Some(RefreshToken::new("r".repeat(token_bytes))),
        expires_at: NOW.plus(DAY),
        lifetime: DAY,
        scopes: Some("account email repository".to_owned()),
    }
}

/// The `Cookie` field of a page that follows from what was set.
fn sent_back(cookies: &[SetCookie]) -> Headers {
    let lines = cookies.iter().filter_map(SetCookie::header_value);
    let lines = lines.filter(|line| line.as_str().contains("Path=/;"));
    let pairs = lines.map(|line| line.as_str().split("; ").next().unwrap().to_owned());
    let line = pairs.collect::<Vec<_>>().join("; ");
    Headers::new(vec![("cookie".to_owned(), line.into_bytes())])
}

pub fn sealing(c: &mut Criterion) {
    let (store_once, mut random, mut shared) = (store(), Seeded::default(), Memory::default());
    let (none, main) = (Headers::default(), Rc::clone(store_once.main()));
    let none = Cookies::read(&none);
    let mut host = Host {
        now: NOW,
        random: &mut random,
        shared: &mut shared,
        signatures: &NativeSignatures,
    };
    for (name, token_bytes) in [("small", SMALL), ("large", LARGE)] {
        let grant = grant(token_bytes);
        let mut group = c.benchmark_group(format!("{name} tokens"));
        let issued = store_once.issue(identity(), &grant, &none, &mut host);
        let Issued {
            session_id,
            cookies,
        } = issued.unwrap();
        let headers = sent_back(&cookies);
        let cookies = Cookies::read(&headers);
        // A store that has seen nothing, so nothing is at hand.
        group.bench_function("open session and grant", |b| {
            let shared = &*host.shared;
            let open =
                |store: SessionStore| black_box(store.open(&cookies, NOW, shared)).map(|_| store);
            b.iter_batched(store, open, BatchSize::SmallInput);
        });
        let mut seal = || store_once.seal_grant(&main, &session_id, &grant, NOW, host.random);
        let sealed = seal().unwrap();
        group.bench_function("seal grant", |b| b.iter(|| black_box(seal())));
        let signed_in = store_once.open(&cookies, NOW, host.shared).unwrap();
        group.bench_function("open grant", |b| {
            b.iter(|| black_box(store_once.follow(&signed_in, &main, black_box(&sealed))));
        });
        group.finish();
    }
}
