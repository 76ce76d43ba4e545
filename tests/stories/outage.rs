//! Bitbucket does not answer as it should while somebody signs in.

use bitgate_simulator::bitbucket::{Fault, FaultResponse};

use crate::support::browser::{body, header};

const TOKEN: &str = "/site/oauth2/access_token";

fn raw(status: u16, content_type: &str, body: &str) -> FaultResponse {
    let (content_type, body) = (content_type.to_owned(), body.as_bytes().to_vec());
    FaultResponse::Raw {
        status,
        content_type,
        body,
    }
}

story!(
    every_bad_answer_has_its_page_and_leaves_no_session,
    |world| {
        let ada = world.person("ada");
        let json = "application/json";
        let table = [
            (
                TOKEN,
                raw(
                    429,
                    "text/plain",
                    "Rate limit for this resource has been exceeded",
                ),
                503,
                "bitbucket_unavailable",
            ),
            (
                TOKEN,
                raw(500, "text/html", "<html>"),
                503,
                "bitbucket_unavailable",
            ),
            (
                TOKEN,
                raw(200, "text/html", "<html>"),
                502,
                "bitbucket_invalid_answer",
            ),
            (TOKEN, raw(200, json, ""), 502, "bitbucket_invalid_answer"),
            (
                TOKEN,
                raw(200, json, "{\"access_token\":"),
                502,
                "bitbucket_invalid_answer",
            ),
            (
                TOKEN,
                raw(200, json, &"[".repeat(10_000)),
                502,
                "bitbucket_invalid_answer",
            ),
            (
                TOKEN,
                raw(200, json, &" ".repeat(200_000)),
                502,
                "bitbucket_invalid_answer",
            ),
            (
                TOKEN,
                raw(302, "text/html", ""),
                502,
                "bitbucket_invalid_answer",
            ),
            (
                TOKEN,
                raw(400, json, "{\"error\":\"unauthorized_client\"}"),
                502,
                "client_refused",
            ),
            (
                TOKEN,
                raw(400, json, "{\"error\":\"invalid_grant\"}"),
                400,
                "code_refused",
            ),
            ("/2.0/user", raw(401, json, "{}"), 403, "account_refused"),
            (
                "/2.0/user",
                raw(503, json, "{}"),
                503,
                "bitbucket_unavailable",
            ),
            (
                "/2.0/user",
                raw(200, json, "{\"type\":\"app_user\",\"account_id\":\"a\"}"),
                403,
                "account_refused",
            ),
            (
                "/2.0/user",
                raw(
                    200,
                    json,
                    "{\"type\":\"user\",\"account_id\":\"a\\r\\nx: y\"}",
                ),
                502,
                "bitbucket_invalid_answer",
            ),
            (
                "/2.0/user/emails",
                raw(500, json, "{}"),
                503,
                "bitbucket_unavailable",
            ),
            (
                "/2.0/user/emails",
                raw(200, json, "[]"),
                502,
                "bitbucket_invalid_answer",
            ),
        ];
        for (path, response, status, reason) in table {
            let fault = Fault {
                path: path.to_owned(),
                times: 1,
                response,
            };
            world.bitbucket().fail_next(fault);
            let mut browser = world.browser();
            let answer = browser.sign_in("/wanted", &ada);
            let found = (
                answer.status().as_u16(),
                header(&answer, "x-bitgate-reason"),
            );
            assert_eq!(found, (status, reason), "{path}");
            assert!(
                body(&answer).contains("href=\"/wanted\""),
                "{path} {reason}"
            );
            assert!(browser.jar.0.is_empty(), "{path} {reason}");
        }
        // And then all is well again.
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("/wanted", &ada).status(), 302);
        assert_eq!(browser.open("/wanted").status(), 200);
    }
);
