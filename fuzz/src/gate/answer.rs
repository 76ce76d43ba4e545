//! What holds when the gate answers, or asks Bitbucket.

use bitgate::gate::Event;
use bitgate::http::{Call, Request, Response};
use url::Url;

use super::oracle::session;
use super::world::World;
use crate::setup::{KEY_TEXT, LIFETIMES, SITE, is_one_line, parse_set_cookie};

const AUTHORIZE: &str = "https://bitbucket.org/site/oauth2/authorize";

/// A call goes to Bitbucket, for a callback, and at most three times.
pub(super) fn call(request: &Request, call: &Call, before: usize) {
    assert_eq!(request.target.path(), "/_bitgate/callback");
    let to = format!(
        "{} {}://{}{}",
        call.method, call.scheme, call.authority, call.path
    );
    let expected = [
        "POST https://bitbucket.org/site/oauth2/access_token",
        "GET https://api.bitbucket.org/2.0/user",
        "GET https://api.bitbucket.org/2.0/user/emails?pagelen=100",
    ];
    assert_eq!(expected.get(before), Some(&to.as_str()));
    let credentials = call
        .headers
        .iter()
        .filter(|(name, _)| *name == "authorization");
    assert_eq!(credentials.count(), 1);
}

/// A response leads to our site or to Bitbucket, is never stored, and tells no secret.
pub(super) fn response(
    world: &mut World,
    request: Option<&Request>,
    response: &Response,
    event: &Event,
    calls: usize,
) {
    let all = |wanted: &str| -> Vec<&str> {
        let found = response.headers.iter().filter(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.as_str()).collect()
    };
    assert!(
        (200..=599).contains(&response.status),
        "{}",
        response.status
    );
    // The keys of the site are the one thing that caches may keep.
    let is_key_set = all("content-type") == ["application/jwk-set+json"];
    assert!(
        is_key_set
            || all("cache-control")
                .iter()
                .any(|value| value.contains("no-store"))
    );
    let cookies: Vec<_> = all("set-cookie")
        .into_iter()
        .map(parse_set_cookie)
        .collect();
    match (response.status, &all("location")[..]) {
        (300..=399, [location]) => redirect(world, request, location, calls),
        (300..=399, locations) => panic!("{} locations", locations.len()),
        (_, locations) => assert!(locations.is_empty()),
    }
    let is_grpc = all("content-type")
        .iter()
        .any(|value| value.starts_with("application/grpc"));
    if let Some(request) = request.filter(|_| response.status == 200 && !is_grpc) {
        match request.target.path() {
            "/_bitgate/session" => assert!(session(world, request).is_some(), "who is nobody?"),
            "/_bitgate/keys" => assert!(is_key_set),
            path => assert!(
                matches!(path, "/_bitgate/logout" | "/_bitgate/status"),
                "{path}"
            ),
        }
    }
    let sets_session = cookies
        .iter()
        .any(|(name, _, age)| name == "__Host-bitgate" && *age > 0);
    // Who waits in vain for Bitbucket does not become idle by it: a session that is there goes on.
    let before = request.and_then(|request| session(world, request).cloned());
    let goes_on = response.status == 503 && before.is_some();
    let begins = sets_session && !goes_on;
    assert!(!begins || calls >= 2, "a session begins without Bitbucket");
    assert!(cookies.len() <= 44, "{} cookies", cookies.len());
    assert!(
        response.body.len() <= 32_768,
        "a page of {} bytes",
        response.body.len()
    );
    let line = event.to_string();
    assert!(is_one_line(&line), "{line:?}");
    // A frame of gRPC-Web begins with a byte that is no text.
    let body = String::from_utf8_lossy(&response.body);
    assert!(is_grpc || !body.contains('\u{fffd}'), "a body is text");
    assert!(!body.contains("<script"), "{body}");
    let texts = response.headers.iter().map(|(_, value)| value.as_str());
    for text in texts.chain([line.as_str(), &*body]) {
        assert!(
            !text.contains(&world.client_secret) && !text.contains(KEY_TEXT),
            "{text}"
        );
    }
    // What goes on ends with what was before, and a grant that was renewed on the way to a refusal
    // comes with it.
    let before = before.filter(|_| !begins);
    let begun = world.now.plus(LIFETIMES.max_age);
    let latest = before.as_ref().map_or(begun, |before| before.latest);
    world.keep(&cookies, before.as_ref(), latest);
    let is_login = all("location")
        .iter()
        .any(|location| location.starts_with(AUTHORIZE));
    world.check_jar(begins, is_login);
}

fn redirect(world: &mut World, request: Option<&Request>, location: &str, calls: usize) {
    let url = Url::parse(location).expect("a location is an address");
    let parameter = |wanted: &str| {
        let mut found = url.query_pairs().filter(|(name, _)| name == wanted);
        found.next().map(|(_, value)| value.into_owned())
    };
    if url.origin().ascii_serialization() != SITE {
        assert_eq!(location.split('?').next(), Some(AUTHORIZE));
        let callback = format!("{SITE}/_bitgate/callback");
        assert_eq!(parameter("redirect_uri"), Some(callback));
        assert_eq!(url.query_pairs().count(), 6);
        world.state = parameter("state").expect("a state");
        return;
    }
    assert!(location.starts_with(&format!("{SITE}/")), "{location}");
    if location == format!("{SITE}/_bitgate/logout") {
        let request = request.expect("a request that was read");
        assert_eq!(
            (&*request.method, request.target.path()),
            ("POST", "/_bitgate/logout")
        );
        return;
    }
    // One that adds to a session that is gone leads to the page, which asks anew.
    let may =
        |request: &Request| session(world, request).is_some() || world.is_second_sign_in(request);
    assert!(
        calls >= 2 || request.is_some_and(may),
        "a redirect to {location} for nobody"
    );
}
