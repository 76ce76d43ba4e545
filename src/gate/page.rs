//! Pages for people: plain HTML, no script, nothing from elsewhere.

use crate::gate::Reason;
use crate::gate::client::RequestId;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1.05rem/1.5 system-ui,sans-serif;margin:0;display:grid;min-height:100vh;place-items:center}\
main{max-width:32rem;padding:2rem}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}\
a{display:inline-block;margin:.5rem 0 1rem;padding:.6rem 1.2rem;border-radius:.4rem;\
background:#0b57d0;color:#fff;text-decoration:none}\
a:focus-visible{outline:3px solid #f59e0b;outline-offset:2px}\
footer{font-size:.85rem;opacity:.75;overflow-wrap:anywhere}";

/// The page of a refusal. `retry` is a path on the own origin.
pub(super) fn refusal(
    reason: Reason,
    hint: Option<&str>,
    retry: Option<&str>,
    id: Option<&RequestId<'_>>,
) -> String {
    let title = escape(reason.title());
    let text = escape(reason.text());
    let hint = hint
        .map(|hint| format!("<p>{}</p>", escape(hint)))
        .unwrap_or_default();
    let retry = retry.map(|path| format!("<p><a href=\"{}\">Try again</a></p>", escape(path)));
    let retry = retry.unwrap_or_default();
    let id = id
        .map(|id| format!(" · Request: {}", escape(id.as_str())))
        .unwrap_or_default();
    let code = reason.code();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p>{text}</p>\n{hint}{retry}\
         <footer>Reason: {code}{id}</footer>\n</main>\n</body>\n</html>\n"
    )
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
    use super::*;

    #[test]
    fn nothing_can_leave_its_place() {
        let page = refusal(Reason::NoRule, Some("<b>"), Some("/\"><script>'&"), None);
        assert!(page.contains("&lt;b&gt;"));
        assert!(page.contains("href=\"/&quot;&gt;&lt;script&gt;&#39;&amp;\""));
        assert!(!page.contains("<script>"));
    }
}
