//! Sealed cookies: nothing opens that was not sealed here.

use std::sync::OnceLock;

use bitgate::host::{Host, NativeSignatures};
use bitgate::http::{Cookies, Headers};
use bitgate::oauth::State;
use bitgate::session::PendingLogins;

use crate::setup::{Memory, NOW, Seeded, grant, identity, pair_of, ring, store};

/// Either three lines, the values of the session's, the grant's and a login's cookie: none of them
/// opens. Or `~` and edits of four bytes each, which are made to the cookies of a real session: it
/// opens exactly if nothing is changed, or everything into another session.
pub(crate) fn session_cookies(bytes: &[u8]) {
    match bytes.strip_prefix(b"~") {
        Some(edits) => edited(edits),
        None => invented(bytes),
    }
}

fn headers(field: Vec<u8>) -> Headers {
    Headers::new(vec![("cookie".to_owned(), field)])
}

fn invented(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (session, grant, login) = (line(), line(), line());
    let id: String = login
        .iter()
        .take(24)
        .map(|byte| char::from(*byte))
        .collect();
    let name: String = id.chars().take(8).collect();
    let field = [
        &b"__Host-bitgate="[..],
        session,
        b"; __Host-bitgate-grant=",
        grant,
        b"; __Host-bitgate-login.",
        name.as_bytes(),
        b"=",
        login,
    ];
    let headers = headers(field.concat());
    let cookies = Cookies::read(&headers);
    assert!(
        store().open(&cookies, NOW, &Memory::default()).is_err(),
        "a session from nowhere"
    );
    let ring = ring();
    let logins = PendingLogins::new(&ring, NOW);
    assert_eq!(
        logins.find(&cookies, &State::new(id)),
        None,
        "a login from nowhere"
    );
}

/// The cookies of two real sessions, which have the same names.
fn real() -> &'static [Vec<(String, String)>; 2] {
    static REAL: OnceLock<[Vec<(String, String)>; 2]> = OnceLock::new();
    REAL.get_or_init(|| {
        let mut random = Seeded::default();
        let mut issue = || {
            let none = Headers::default();
            let none = Cookies::read(&none);
            let mut host = Host {
                now: NOW,
                random: &mut random,
                shared: &mut Memory::default(),
                signatures: &NativeSignatures,
            };
            let issued = store().issue(identity(), &grant(NOW), &none, &mut host);
            let pairs = issued.expect("a session");
            let pairs = pairs.cookies.iter().map(pair_of);
            pairs.map(|(name, value, _)| (name, value)).collect()
        };
        [issue(), issue()]
    })
}

/// Each edit: which cookie, at which of its bytes (two), and what to put there. 0 cuts it off, and
/// 1 takes the cookie of the other session.
fn edited(edits: &[u8]) {
    let [first, other] = real();
    let values_of = |pairs: &[(String, String)]| -> Vec<Vec<u8>> {
        pairs
            .iter()
            .map(|(_, value)| value.clone().into_bytes())
            .collect()
    };
    let (originals, others) = (values_of(first), values_of(other));
    let mut values = originals.clone();
    for edit in edits.chunks_exact(4).take(8) {
        let index = usize::from(edit[0]) % values.len();
        let value = &mut values[index];
        let at = usize::from(u16::from_be_bytes([edit[1], edit[2]]));
        match (edit[3], value.len()) {
            (1, _) => value.clone_from(&others[index]),
            (_, 0) => {}
            (0, length) => value.truncate(at % length),
            (byte, length) => value[at % length] = byte,
        }
    }
    let joined = |values: &[Vec<u8>]| {
        let pairs = first.iter().zip(values);
        let pairs = pairs.map(|((name, _), value)| [name.as_bytes(), b"=", value].concat());
        headers(pairs.collect::<Vec<_>>().join(&b"; "[..]))
    };
    let (original, changed) = (joined(&originals), joined(&values));
    let (cold, warm) = (store(), store());
    let opened = warm.open(&Cookies::read(&original), NOW, &Memory::default());
    let opened = opened.expect("the real session opens");
    assert_eq!(opened.session.identity, identity());
    // A mark that is read either way.
    let marked = |values: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let dot = |value: &Vec<u8>| match value.as_slice() {
            [count, b'~', rest @ ..] => [&[*count, b'.'], rest].concat(),
            other => other.to_vec(),
        };
        values.iter().map(dot).collect()
    };
    let values = marked(&values);
    let is_whole = values == originals || values == others;
    // Who knows the session looks at no more than what travels with each request.
    let is_apart = |name: &str| name.starts_with("__Secure-");
    let mut all = first.iter().zip(values.iter().zip(&originals));
    let is_known = all.all(|((name, _), (value, original))| is_apart(name) || value == original);
    for (store, opens) in [(cold, is_whole), (warm, is_whole || is_known)] {
        let opened = store.open(&Cookies::read(&changed), NOW, &Memory::default());
        assert_eq!(opened.is_ok(), opens, "an edited session opens");
    }
}
