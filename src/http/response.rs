//! A response of our own, as a value.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::http::{HeaderValue, SetCookie};

/// What is answered instead of asking the upstream. It is never stored: every one has
/// `cache-control: no-store`, unless it is [published](Self::published).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code (RFC 9110 section 15).
    pub status: u16,
    /// Header fields in their order.
    pub headers: Vec<(&'static str, HeaderValue)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The two forms of gRPC-Web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcWeb {
    /// `application/grpc-web+proto`.
    Binary,
    /// `application/grpc-web-text`: the same in base64.
    Text,
}

impl Response {
    /// A response without a body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let headers = vec![
            ("cache-control", HeaderValue::fixed("private, no-store")),
            // The address of a page of ours can hold a code: it goes to nobody.
            ("referrer-policy", HeaderValue::fixed("no-referrer")),
        ];
        Self {
            status,
            headers,
            body: Vec::new(),
        }
    }

    /// Sends the browser to `location` with a GET (RFC 9110 section 15.4.3). A 307 would carry a form over
    /// to another origin.
    #[must_use]
    pub fn found(location: HeaderValue) -> Self {
        Self::new(302).with("location", location)
    }

    /// Sends the browser to `location` with the same method and body (RFC 9110 section 15.4.8): to an
    /// address of this site.
    #[must_use]
    pub fn temporary_redirect(location: HeaderValue) -> Self {
        // Fetch applies the policy to what is sent on: a form would arrive without an origin.
        Self::new(307)
            .with_referrer_policy(HeaderValue::fixed("same-origin"))
            .with("location", location)
    }

    /// Sends the browser to `location` with a GET, after a POST (RFC 9110 section 15.4.4).
    #[must_use]
    pub fn see_other(location: HeaderValue) -> Self {
        Self::new(303).with("location", location)
    }

    /// A page, with the policy that it needs and no more (W3C Content Security Policy).
    #[must_use]
    pub fn html(status: u16, page: String, content_security_policy: &'static str) -> Self {
        let mut response = Self::new(status)
            .with(
                "content-type",
                HeaderValue::fixed("text/html; charset=utf-8"),
            )
            .with(
                "content-security-policy",
                HeaderValue::fixed(content_security_policy),
            )
            .with("x-content-type-options", HeaderValue::fixed("nosniff"));
        response.body = page.into_bytes();
        response
    }

    /// A JSON document.
    #[must_use]
    pub fn json(status: u16, document: &serde_json::Value) -> Self {
        let mut response = Self::new(status)
            .with("content-type", HeaderValue::fixed("application/json"))
            .with("x-content-type-options", HeaderValue::fixed("nosniff"));
        // In JSON "<" occurs in strings only. Who puts a document into a page as it is, or a browser
        // that guesses, sees no tag.
        // A value has no key that is no string, so it always has a text.
        let text = serde_json::to_string(document).unwrap_or_default();
        let text = text.replace('<', "\\u003c");
        response.body = text.into_bytes();
        response.body.push(b'\n');
        response
    }

    /// A JSON document that says the same to everybody. Caches keep it for five minutes.
    #[must_use]
    pub fn published(media_type: &'static str, document: &serde_json::Value) -> Self {
        Self::json(200, document)
            .with_own("content-type", media_type)
            .with_own("cache-control", "public, max-age=300")
    }

    /// With another value of a field that it has.
    #[must_use]
    pub fn with_own(mut self, name: &str, text: &'static str) -> Self {
        let mut fields = self.headers.iter_mut();
        if let Some((_, value)) = fields.find(|(known, _)| *known == name) {
            *value = HeaderValue::fixed(text);
        }
        self
    }

    /// One line of text.
    #[must_use]
    pub fn text(status: u16, line: &str) -> Self {
        let mut response = Self::new(status)
            .with(
                "content-type",
                HeaderValue::fixed("text/plain; charset=utf-8"),
            )
            .with("x-content-type-options", HeaderValue::fixed("nosniff"));
        response.body = format!("{line}\n").into_bytes();
        response
    }

    /// A trailers-only response of gRPC: all is in the header, and HTTP's status is 200.
    #[must_use]
    pub fn grpc(status: u8, message: &str) -> Self {
        let response = Self::new(200).with("content-type", HeaderValue::fixed("application/grpc"));
        let fields = [
            ("grpc-status", status.to_string()),
            ("grpc-message", percent_encoded(message)),
        ];
        fields.into_iter().fold(
            response,
            |response, (name, text)| match HeaderValue::try_from(text) {
                Ok(value) => response.with(name, value),
                Err(_) => response,
            },
        )
    }

    /// The same for gRPC-Web: a frame of trailers in the body, since scripts cannot read trailers
    /// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>).
    #[must_use]
    pub fn grpc_web(status: u8, message: &str, form: GrpcWeb) -> Self {
        let message = percent_encoded(message);
        let trailers = format!("grpc-status: {status}\r\ngrpc-message: {message}\r\n");
        let length = u32::try_from(trailers.len()).unwrap_or(0).to_be_bytes();
        let frame = [&[0x80][..], &length, trailers.as_bytes()].concat();
        let (media_type, body) = match form {
            GrpcWeb::Binary => ("application/grpc-web+proto", frame),
            GrpcWeb::Text => (
                "application/grpc-web-text",
                STANDARD.encode(frame).into_bytes(),
            ),
        };
        let mut response = Self::new(200).with("content-type", HeaderValue::fixed(media_type));
        response.body = body;
        response
    }

    /// With one more header field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With another referrer policy than none.
    #[must_use]
    pub fn with_referrer_policy(mut self, policy: HeaderValue) -> Self {
        self.headers.retain(|(name, _)| *name != "referrer-policy");
        self.with("referrer-policy", policy)
    }

    /// With cookies; one that has no valid form is left out.
    #[must_use]
    pub fn with_cookies(mut self, cookies: &[SetCookie]) -> Self {
        let values = cookies.iter().filter_map(SetCookie::header_value);
        self.headers
            .extend(values.map(|value| ("set-cookie", value)));
        self
    }
}

/// `grpc-message` is percent-encoded
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
fn percent_encoded(message: &str) -> String {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
