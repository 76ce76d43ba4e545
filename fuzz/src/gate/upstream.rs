//! What holds when a request goes upstream.

use bitgate::gate::Forward;
use bitgate::http::{HeaderValue, Request};
use bitgate::policy::Inject;
use bitgate::session::COOKIE_PREFIX;

use super::oracle::{Area, area, has_ci_grant, is_ci, is_managed, session};
use super::world::World;
use crate::http::{is_ours, pieces};
use crate::setup::{SITE, pair_of};

const IDENTITY_TOKEN: &str = "x-bitgate-identity-token";

/// A request goes upstream by its rule only, and says of the person what we know.
pub(super) fn forward(world: &mut World, request: &Request, forward: &Forward) {
    let area = area(request);
    let path = request.target.as_str();
    let session = session(world, request).cloned();
    let says = |name: &str| forward.set.contains(name);
    match area {
        Area::Closed => panic!("{path} is closed"),
        Area::Public => {
            assert!(
                !says("x-forwarded-user") && !says("authorization"),
                "{path}"
            );
            assert!(!says(IDENTITY_TOKEN), "{path}");
            assert!(forward.response.cookies.is_empty(), "{path}");
        }
        Area::SignedIn(inject) => {
            assert!(session.is_some(), "{path} without a session");
            assert!(
                !is_ci(request) || has_ci_grant(world, request),
                "{path} without the grant of its consumer"
            );
            let is_safe = matches!(&*request.method, "GET" | "HEAD" | "OPTIONS");
            if !is_safe || request.headers.contains("upgrade") {
                let other = b"https://other.example.com";
                let may = |origin: &[u8]| {
                    let is_hidden = origin == b"null"
                        && request.headers.single("sec-fetch-site") == Some("same-origin");
                    is_hidden
                        || origin == SITE.as_bytes()
                        || (path.starts_with("/raw") && origin == other)
                };
                assert!(
                    request.headers.all("origin").all(may),
                    "{path} from another site"
                );
            }
            // Never without its token, whatever the host can give.
            let is_signed = request.target.path().starts_with("/signed");
            assert_eq!(says(IDENTITY_TOKEN), is_signed, "{path}");
            assert_eq!(says("authorization"), inject == Inject::Bearer, "{path}");
            assert_eq!(says("x-forwarded-user"), inject != Inject::None, "{path}");
            assert_eq!(
                says("x-bitgate-principal"),
                inject != Inject::None,
                "{path}"
            );
        }
    }
    let is_ours_to_take = |name: &str| name == "cookie" || is_managed(name);
    let mut removed = forward.remove.iter();
    assert!(removed.all(|name| is_ours_to_take(name)), "{path}");
    let is_kept = |name: &str| {
        !forward.remove.iter().any(|removed| removed == name) && !forward.set.contains(name)
    };
    let kept: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (std::str::from_utf8(name).expect("ASCII"), value))
        .filter(|(name, _)| is_kept(name))
        .collect();
    assert!(!kept.iter().any(|(name, _)| is_managed(name)), "{kept:?}");
    let set = forward.set.iter();
    let cookies = kept
        .into_iter()
        .chain(set.clone())
        .filter(|(name, _)| *name == "cookie");
    let cookies: Vec<&[u8]> = cookies.map(|(_, value)| value).collect();
    assert!(
        !pieces(&cookies).iter().any(|piece| is_ours(piece)),
        "{COOKIE_PREFIX} goes upstream"
    );
    for (name, value) in set.filter(|(name, _)| *name != "cookie") {
        let text = std::str::from_utf8(value).expect("what we say is ASCII");
        assert!(
            HeaderValue::try_from(text).is_ok() && !text.is_empty(),
            "{name}"
        );
        assert!(name == "authorization" || is_managed(name), "{name}");
    }
    let pairs: Vec<_> = forward.response.cookies.iter().map(pair_of).collect();
    // What follows a session ends with it.
    let latest = session.as_ref().map_or(world.now, |session| session.latest);
    world.keep(&pairs, session.as_ref(), latest);
}
