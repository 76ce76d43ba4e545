//! What kind of client asks, and what it calls its request.

use crate::http::Request;

/// Whether a person's browser opens a page: only then is a redirect to sign in of any use.
///
/// A GET or HEAD. Where the browser says what it does (W3C Fetch Metadata), that decides: no
/// script, no frame, no prefetch. Other clients must list `text/html`; `*/*` is not a wish for it.
pub(super) fn is_navigation(request: &Request) -> bool {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return false;
    }
    let headers = &request.headers;
    if headers.contains("upgrade") {
        return false;
    }
    let is_prefetch = ["sec-purpose", "purpose", "x-moz"].into_iter().any(|name| {
        headers
            .all(name)
            .any(|value| contains_word(value, "prefetch"))
    });
    if is_prefetch {
        return false;
    }
    if headers.contains("sec-fetch-mode") {
        let is_page = matches!(headers.single("sec-fetch-dest"), None | Some("document"));
        return headers.single("sec-fetch-mode") == Some("navigate") && is_page;
    }
    headers.all("accept").any(|value| {
        value.split(|byte| *byte == b',').any(|range| {
            let media_type = range.split(|byte| *byte == b';').next().unwrap_or_default();
            media_type.trim_ascii().eq_ignore_ascii_case(b"text/html")
        })
    })
}

fn contains_word(value: &[u8], word: &str) -> bool {
    value
        .split(|byte| !byte.is_ascii_alphanumeric())
        .any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// Envoy's id of the request, which it also writes into its access log.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId<'a>(&'a str);

impl<'a> RequestId<'a> {
    /// `None` if there is none, or one that is not a short visible word.
    pub(super) fn of(request: &'a Request) -> Option<Self> {
        let id = request.headers.single("x-request-id")?;
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        let valid = (1..=64).contains(&id.len()) && id.bytes().all(is_word);
        valid.then_some(Self(id))
    }

    pub(super) fn as_str(&self) -> &'a str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Request {
        let mut fields = vec![
            (":method".to_owned(), method.as_bytes().to_vec()),
            (":authority".to_owned(), b"a.test".to_vec()),
            (":path".to_owned(), b"/".to_vec()),
        ];
        fields.extend(
            headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())),
        );
        Request::read(fields).unwrap()
    }

    #[test]
    fn only_a_page_that_a_person_opens_is_a_navigation() {
        let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        let navigate = ("sec-fetch-mode", "navigate");
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);
        let table: [Row<'_>; 18] = [
            ("GET", &[html], true),
            ("HEAD", &[html], true),
            (
                "GET",
                &[("accept", "application/json, TEXT/HTML ;q=0.1")],
                true,
            ),
            ("GET", &[navigate], true),
            ("GET", &[navigate, ("sec-fetch-dest", "document")], true),
            ("POST", &[html, navigate], false),
            ("OPTIONS", &[html], false),
            ("GET", &[], false),
            ("GET", &[("accept", "*/*")], false),
            ("GET", &[("accept", "text/htmlx")], false),
            ("GET", &[html, ("sec-fetch-mode", "cors")], false),
            (
                "GET",
                &[html, navigate, ("sec-fetch-dest", "iframe")],
                false,
            ),
            ("GET", &[html, navigate, ("sec-fetch-dest", "embed")], false),
            (
                "GET",
                &[html, navigate, ("sec-purpose", "prefetch;prerender")],
                false,
            ),
            ("GET", &[html, ("purpose", "prefetch")], false),
            ("GET", &[html, navigate, navigate], false),
            ("GET", &[html, ("upgrade", "websocket")], false),
            ("get", &[html], false),
        ];
        for (method, headers, expected) in table {
            assert_eq!(
                is_navigation(&request(method, headers)),
                expected,
                "{method} {headers:?}"
            );
        }
    }

    #[test]
    fn a_request_id_is_a_short_word() {
        for (id, valid) in [
            ("3f0c-11", true),
            ("", false),
            ("a b", false),
            ("<b>", false),
        ] {
            let request = request("GET", &[("x-request-id", id)]);
            assert_eq!(RequestId::of(&request).is_some(), valid, "{id}");
        }
    }
}
