//! XSS: pages show words of ours only.

use super::case::{Case, empty, get, navigation, refused};
use crate::support::browser::{body, header};

const PAYLOADS: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</pre></style><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}",
    "'--><!--",
];

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("XSS-04", |world| {
            let page = refused(world, navigation(get("/nobody")), 403, "forbidden");
            assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
            assert_eq!(header(&page, "x-content-type-options"), "nosniff");
            let document = refused(world, empty(get("/nobody")), 403, "forbidden");
            assert_eq!(header(&document, "content-type"), "application/json");
            assert_eq!(header(&document, "x-content-type-options"), "nosniff");
        }),
        Case::both("XSS-07", |world| {
            // The one thing of the client that a page shows: where to try again.
            let account = world.person("ada");
            let mut browser = world.browser();
            let target = "/page?a=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&b='onload='x";
            let sent_away = browser.open(target);
            let callback = browser.answer(&sent_away, &account, "deny");
            let page = body(&browser.open(&callback));
            let wanted =
                "href=\"/page?a=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&amp;b=&#39;onload=&#39;x\"";
            assert!(page.contains(wanted), "{page}");
            for payload in PAYLOADS {
                let encoded: String = form_urlencoded::byte_serialize(payload.as_bytes()).collect();
                for path in [
                    format!(
                        "/nobody/{}",
                        encoded.replace('+', "%20").replace("%2F", "-")
                    ),
                    format!("/nobody?{encoded}"),
                    format!("/_bitgate/callback?error={encoded}&state={encoded}"),
                    format!(
                        "/_bitgate/callback?error=access_denied&error_description={encoded}&state=s"
                    ),
                    format!("/_bitgate/login?rd={encoded}"),
                    format!("/_bitgate/logout?x={encoded}"),
                    format!(
                        "/_bitgate/{}",
                        encoded.replace('+', "%20").replace("%2F", "-")
                    ),
                ] {
                    let request = get(&path)
                        .header("referer", payload)
                        .header("user-agent", payload);
                    let page =
                        body(&world.send(navigation(request.header("x-request-id", payload))));
                    for word in ["alert", "onerror", "onload", "7*7", "'--"] {
                        assert!(!page.contains(word), "{path}: {page}");
                    }
                }
            }
        }),
    ]
}
