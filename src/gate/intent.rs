//! A cookie says who, and not that they want it: browsers send it along with what another site
//! makes them do.

use crate::http::Request;

/// Methods that change nothing (RFC 9110 section 9.2.1). TRACE is refused before.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// Whether a request that a cookie vouches for is meant by a page of `own`, the site's origin, or
/// of one of `others`.
///
/// Only unsafe methods and upgrades are looked at: a WebSocket handshake is a GET that browsers
/// send to every site with its cookies. Programs send neither `Origin` nor `Sec-Fetch-Site`.
pub(super) fn is_intended(request: &Request, own: &str, others: &[String]) -> bool {
    let headers = &request.headers;
    if SAFE.contains(&&*request.method) && !headers.contains("upgrade") {
        return true;
    }
    let site = headers.single("sec-fetch-site");
    let mut origins = headers.all("origin");
    match (origins.next(), origins.next()) {
        (None, _) => {}
        // A page with `Referrer-Policy: no-referrer` hides its origin even from its own site (Fetch,
        // "append a request `Origin` header"). A sandboxed frame says "null" too, and is cross-site.
        (Some(b"null"), None) => return site == Some("same-origin"),
        (Some(origin), None) if origin == own.as_bytes() => {}
        // Sec-Fetch-Site says the same of it in other words, and cannot be ours.
        (Some(origin), None) => return others.iter().any(|other| origin == other.as_bytes()),
        (Some(_), Some(_)) => return false,
    }
    !headers.contains("sec-fetch-site") || matches!(site, Some("same-origin" | "none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_origin_and_those_of_the_rule_may_change_something() {
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);
        let own = ("origin", "https://a.test");
        let table: [Row<'_>; 22] = [
            ("POST", &[], true),
            ("POST", &[own], true),
            ("POST", &[own, ("sec-fetch-site", "same-origin")], true),
            ("POST", &[("sec-fetch-site", "none")], true),
            (
                "POST",
                &[
                    ("origin", "https://b.test"),
                    ("sec-fetch-site", "same-site"),
                ],
                true,
            ),
            ("POST", &[("origin", "https://evil.test")], false),
            ("POST", &[("origin", "null")], false),
            (
                "POST",
                &[("origin", "null"), ("sec-fetch-site", "same-origin")],
                true,
            ),
            (
                "POST",
                &[("origin", "null"), ("sec-fetch-site", "none")],
                false,
            ),
            ("POST", &[("origin", "https://a.test.evil.test")], false),
            ("POST", &[("origin", "http://a.test")], false),
            ("POST", &[("origin", "https://a.test:8443")], false),
            ("POST", &[own, own], false),
            ("POST", &[own, ("origin", "https://evil.test")], false),
            ("POST", &[own, ("sec-fetch-site", "cross-site")], false),
            ("POST", &[("sec-fetch-site", "same-site")], false),
            (
                "DELETE",
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-site", "none"),
                ],
                false,
            ),
            ("PROPFIND", &[("sec-fetch-site", "cross-site")], false),
            ("GET", &[("origin", "https://evil.test")], true),
            (
                "GET",
                &[("upgrade", "websocket"), ("origin", "https://evil.test")],
                false,
            ),
            ("GET", &[("upgrade", "websocket"), own], true),
            ("GET", &[("upgrade", "websocket")], true),
        ];
        for (method, headers, expected) in table {
            let mut fields = vec![
                (":method".to_owned(), method.as_bytes().to_vec()),
                (":authority".to_owned(), b"a.test".to_vec()),
                (":path".to_owned(), b"/".to_vec()),
            ];
            let others = ["https://b.test".to_owned()];
            fields.extend(
                headers
                    .iter()
                    .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())),
            );
            let request = Request::read(fields).unwrap();
            let intended = is_intended(&request, "https://a.test", &others);
            assert_eq!(intended, expected, "{method} {headers:?}");
        }
    }
}
