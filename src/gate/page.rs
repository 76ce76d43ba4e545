//! Pages for people: plain HTML, no script, nothing from elsewhere.

use std::fmt;

use crate::gate::client::RequestId;
use crate::gate::{PREFIX, Reason};
use crate::http::Response;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1.05rem/1.5 system-ui,sans-serif;margin:0;display:grid;min-height:100vh;place-items:center}\
main{max-width:32rem;padding:2rem;box-sizing:border-box;width:100%}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}\
a,button{display:inline-block;font:inherit;margin:.5rem 0 1rem;padding:.6rem 1.2rem;border:0;\
border-radius:.4rem;background:#0b57d0;color:#fff;text-decoration:none;cursor:pointer}\
a:focus-visible,button:focus-visible{outline:3px solid #b45309;outline-offset:2px}\
form{margin:0}\
footer{font-size:.85rem;opacity:.8;overflow-wrap:anywhere}\
@media(prefers-color-scheme:dark){a:focus-visible,button:focus-visible{outline-color:#fbbf24}}\
@media(forced-colors:active){a,button{border:2px solid}}";

/// Nothing but this very style, and a form that can only come back to us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
style-src 'sha256-Sokybd9EmJKyBCpF8jffZUGu/aGxbLG6Wyd7+sB6VMc='; \
base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What a page says. All of it is escaped.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) text: &'a str,
    pub(super) hint: Option<&'a str>,
    pub(super) action: Option<Action<'a>>,
    pub(super) reason: Option<Reason>,
    pub(super) request_id: Option<RequestId<'a>>,
}

/// The one thing to do on a page.
#[derive(Debug)]
pub(super) enum Action<'a> {
    /// A link to sign in.
    SignIn,
    /// A form that signs out.
    SignOut,
    /// A link to a path on the own origin.
    TryAgain(&'a str),
    /// The same, and a link to the page that asks whether to sign out.
    TryAgainOrSignOut(&'a str),
}

impl Page<'_> {
    pub(super) fn into_response(self, status: u16) -> Response {
        Response::html(status, self.to_string(), CONTENT_SECURITY_POLICY)
    }
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = escape(self.title);
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n<p>{}</p>\n",
            escape(self.text)
        )?;
        if let Some(hint) = self.hint {
            writeln!(f, "<p>{}</p>", escape(hint))?;
        }
        if let Some(action) = &self.action {
            writeln!(f, "{action}")?;
        }
        let reason = self.reason.map(|reason| format!("Reason: {reason}"));
        let id = self
            .request_id
            .map(|id| format!("Request: {}", escape(id.as_str())));
        let facts: Vec<String> = reason.into_iter().chain(id).collect();
        if !facts.is_empty() {
            writeln!(f, "<footer>{}</footer>", facts.join(" · "))?;
        }
        f.write_str("</main>\n</body>\n</html>\n")
    }
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignIn => write!(f, "<p><a href=\"{PREFIX}/login\">Sign in</a></p>"),
            Self::SignOut => write!(
                f,
                "<form method=\"post\" action=\"{PREFIX}/logout\"><button>Sign out</button></form>"
            ),
            Self::TryAgain(path) => write!(f, "<p><a href=\"{}\">Try again</a></p>", escape(path)),
            Self::TryAgainOrSignOut(path) => write!(
                f,
                "<p><a href=\"{}\">Try again</a> <a href=\"{PREFIX}/logout\">Sign out</a></p>",
                escape(path)
            ),
        }
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;

    #[test]
    fn nothing_can_leave_its_place() {
        let page = Page {
            title: "<i>",
            text: "'a'",
            hint: Some("<b>"),
            action: Some(Action::TryAgain("/\"><script>'&")),
            reason: Some(Reason::NoRule),
            request_id: None,
        }
        .to_string();
        assert!(page.contains("&lt;b&gt;") && page.contains("<h1>&lt;i&gt;</h1>"));
        assert!(page.contains("href=\"/&quot;&gt;&lt;script&gt;&#39;&amp;\""));
        assert!(!page.contains("<script>"));
    }

    #[test]
    fn the_policy_allows_this_style_only() {
        let digest = hmac_sha256::Hash::hash(STYLE.as_bytes());
        let digest = base64::engine::general_purpose::STANDARD.encode(digest);
        assert!(
            CONTENT_SECURITY_POLICY.contains(&format!("'sha256-{digest}'")),
            "expected {digest}"
        );
    }
}
