//! What holds for every answer and every forwarded request, whatever a test is about.

use bitgate_simulator::upstream::Received;
use url::Url;

use super::Response;
use super::browser::SITE;

const BITBUCKET: &str = "http://127.0.0.1:10001";

/// An answer of our own: it is never stored, it leads nowhere but to the site or to Bitbucket, and
/// no page of it runs anything.
pub fn of_answer(response: &Response) {
    let headers = response.headers();
    let locations: Vec<_> = headers.get_all("location").iter().collect();
    assert!(locations.len() <= 1, "more than one location");
    if let Some(location) = locations.first() {
        // Resolved as a browser would resolve it (WHATWG URL).
        let text = std::str::from_utf8(location.as_bytes()).expect("a location of ASCII");
        assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text:?}");
        let url = Url::parse(&format!("{SITE}/")).unwrap().join(text).unwrap();
        let origin = url.origin().ascii_serialization();
        assert!(
            origin == SITE || origin == BITBUCKET,
            "it leads to {origin}"
        );
        // What keeps method and body leads to the site alone.
        let status = response.status().as_u16();
        assert!(matches!(status, 302 | 303) || status == 307 && origin == SITE);
    }
    // Envoy's own answers, such as 431, have neither.
    if headers.contains_key("x-bitgate-reason") || !locations.is_empty() {
        let cache_control = headers.get("cache-control").unwrap().to_str().unwrap();
        assert_eq!(cache_control, "private, no-store");
        let is_sent_on = response.status() == 307;
        let policy = if is_sent_on {
            "same-origin"
        } else {
            "no-referrer"
        };
        assert_eq!(headers.get("referrer-policy").unwrap(), policy);
    }
    let is_page = headers
        .get("content-type")
        .is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if is_page {
        let policy = headers
            .get("content-security-policy")
            .unwrap()
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert_eq!(headers.get("x-content-type-options").unwrap(), "nosniff");
        assert!(!String::from_utf8_lossy(response.body()).contains("<script"));
    }
}

/// What reached the service: no cookie of ours.
pub fn of_forwarded(received: &Received) {
    for (name, value) in &received.headers {
        let lower = value.to_ascii_lowercase();
        let is_ours = ["__host-bitgate", "__secure-bitgate"].iter().any(|name| {
            let mut parts = lower.windows(name.len());
            parts.any(|part| part == name.as_bytes())
        });
        assert!(
            !(name == "cookie" && is_ours),
            "a cookie of ours reached the upstream"
        );
    }
}
