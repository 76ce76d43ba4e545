//! What must come of a request, found without the gate.

use bitgate::http::Request;
use bitgate::policy::Inject;

use super::world::{Issued, World};
use crate::http::{decoded, pieces};
use crate::setup::SITE;

/// The first cookie of a grant of the further consumer.
pub(super) const CI_GRANT: &str = "__Host-bitgate-grant-ci";

/// Who the rules of the world let through to a path.
#[derive(Debug, PartialEq)]
pub(super) enum Area {
    Closed,
    Public,
    SignedIn(Inject),
}

/// Reads the raw path as a lenient server does: decodes, cuts off parameters, resolves dots and
/// merges slashes. Where that leads, the rules must have led too.
fn segments(request: &Request) -> Vec<Vec<u8>> {
    let raw = request
        .target
        .as_str()
        .split('?')
        .next()
        .unwrap_or_default();
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for segment in decoded(raw.as_bytes()).split(|byte| matches!(byte, b'/' | b'\\')) {
        match segment
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
        {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            segment => segments.push(segment.to_vec()),
        }
    }
    segments
}

/// Whether the path gets the token of the further consumer.
pub(super) fn is_ci(request: &Request) -> bool {
    segments(request)
        .first()
        .is_some_and(|first| first == b"ci")
}

/// Whether a grant of the further consumer that was handed out came with the request.
pub(super) fn has_ci_grant(world: &World, request: &Request) -> bool {
    let fields: Vec<_> = request.headers.all("cookie").collect();
    let pieces = pieces(&fields);
    let mut values = world.ci_grants.iter();
    values.any(|value| pieces.contains(&format!("{CI_GRANT}={value}").into_bytes()))
}

pub(super) fn area(request: &Request) -> Area {
    let segments = segments(request);
    let is_api = matches!(&*request.method, "GET" | "POST");
    match (
        segments.first().map_or(&b""[..], Vec::as_slice),
        segments.len(),
    ) {
        (b"public", _) => Area::Public,
        (b"", 0) | (b"app" | b"signed", _) => Area::SignedIn(Inject::Identity),
        (b"raw", _) if segments.get(1).is_some_and(|second| second == b"closed") => Area::Closed,
        (b"raw", _) => Area::SignedIn(Inject::None),
        (b"plain", 2) => Area::SignedIn(Inject::None),
        (b"ci", _) => Area::SignedIn(Inject::Bearer),
        (b"api", _) if is_api => Area::SignedIn(Inject::Bearer),
        _ => Area::Closed,
    }
}

/// The live session that the request's cookies show, by what was handed out.
pub(super) fn session<'w>(world: &'w World, request: &Request) -> Option<&'w Issued> {
    let fields: Vec<_> = request.headers.all("cookie").collect();
    let pieces = pieces(&fields);
    let has = |name: &str, value: &str| pieces.contains(&format!("{name}={value}").into_bytes());
    let host = request.authority.strip_suffix(":443");
    let is_site = format!("https://{}", host.unwrap_or(&request.authority)) == SITE;
    let mut issued = world.issued.iter().filter(|_| is_site);
    issued.find(|issued| {
        let is_live = world.now < issued.idle_at.min(issued.latest);
        is_live
            && has("__Host-bitgate", &issued.token)
            && has("__Host-bitgate-grant", &issued.grant)
    })
}

/// `_` and `.` are `-` for some servers.
pub(super) fn is_managed(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    let user = [
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
    ];
    user.contains(&name.as_str()) || name.starts_with("x-bitgate-")
}
