//! Plain pages: no script, light and dark, readable on a phone.

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;margin:0 auto;max-width:46rem;padding:1.5rem}\
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}\
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-bottom:1px solid #8884}\
td,code{font-family:ui-monospace,monospace;font-size:.85rem;overflow-wrap:anywhere}\
.box{display:block;padding:.75rem;border:1px solid #8886;border-radius:.4rem;max-height:14rem;overflow:auto}\
.value div{max-height:7rem;overflow:auto}\
th{width:11rem}\
label{display:block;padding:.6rem .75rem;border:1px solid #8886;border-radius:.4rem;margin:.4rem 0}\
button{font:inherit;padding:.6rem 1.2rem;margin:.75rem .5rem 0 0;border-radius:.4rem;border:1px solid #8886}\
button[value=grant]{background:#0b57d0;color:#fff;border-color:#0b57d0}\
small{opacity:.75}";

/// A page with `body` as it is.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         {body}\n</body>\n</html>\n"
    )
}

/// Text for any place of a page.
pub(crate) fn escape(text: &str) -> String {
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
    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(
            super::escape("<a href=\"'&'\">"),
            "&lt;a href=&quot;&#39;&amp;&#39;&quot;&gt;"
        );
    }
}
