//! What holds for every input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "tests: a failed expectation is a failed test"
)]

use bitgate::config::Config;
use bitgate::http::{Cookies, HeaderValue, Headers, Request, RequestTarget, SetCookie};
use bitgate::json::Json;
use bitgate::oauth::AuthorizationResponse;
use bitgate::policy::PathTemplate;
use bitgate::time::Seconds;
use proptest::collection::vec;
use proptest::prelude::*;

fn headers(fields: &[Vec<u8>]) -> Headers {
    Headers::new(
        fields
            .iter()
            .map(|field| ("cookie".to_owned(), field.clone()))
            .collect(),
    )
}

/// Bytes as clients send them, with the ones that matter often.
fn bytes(special: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let special: Vec<u8> = special.bytes().collect();
    let often = proptest::sample::select(special);
    vec(prop_oneof![3 => often, 1 => any::<u8>()], 0..80)
}

proptest! {
    /// Normalising a target again changes nothing, no reading of it has a segment that a server could
    /// resolve, and one that could be split in two ways says so.
    #[test]
    fn a_target_that_passes_is_unambiguous(raw in bytes("/.%2eEfF5cC;?#a\\")) {
        if let Ok(target) = RequestTarget::parse(&raw) {
            let path = target.path();
            for reading in target.readings() {
                prop_assert!(reading.starts_with('/') && !reading.contains("//"));
                prop_assert!(reading.split('/').all(|segment| !matches!(segment, "." | "..")));
                prop_assert!(!reading.contains(['\\', '?', '#']));
                for hidden in ["%5C", "%2E", "%00"] {
                    prop_assert!(!reading.contains(hidden), "{reading}");
                }
            }
            let has_two = [";", "%2F", "%3B"].iter().any(|mark| path.contains(mark));
            prop_assert_eq!(target.ambiguity().is_some(), has_two);
            let again = RequestTarget::parse(path.as_bytes()).unwrap();
            prop_assert_eq!(again.path(), path);
            prop_assert!(HeaderValue::try_from(target.as_str()).is_ok());
        }
    }

    /// No cookie of ours is left, in any spelling, and every other byte string that was between
    /// the semicolons still is there, in order.
    #[test]
    fn stripping_takes_ours_and_nothing_else(fields in vec(bytes("__Host-bitgate=; ,\"a"), 0..4)) {
        let headers = headers(&fields);
        let cookies = Cookies::read(&headers);
        let pieces = |fields: &[Vec<u8>]| -> Vec<Vec<u8>> {
            let pieces = fields.iter().flat_map(|field| field.split(|byte| *byte == b';'));
            pieces.map(|piece| piece.trim_ascii().to_vec()).filter(|piece| !piece.is_empty()).collect()
        };
        let is_ours = |piece: &Vec<u8>| {
            piece.len() >= 14 && piece[..14].eq_ignore_ascii_case(b"__Host-bitgate")
        };
        let all = pieces(&fields);
        match cookies.without_prefix("__Host-bitgate") {
            None => prop_assert!(!all.iter().any(is_ours)),
            Some(rest) => {
                let kept: Vec<_> = all.into_iter().filter(|piece| !is_ours(piece)).collect();
                prop_assert_eq!(pieces(&[rest]), kept);
            }
        }
    }

    #[test]
    fn reading_a_cookie_never_traps(fields in vec(bytes("a=; \""), 0..4), name in "[a-z=;]{0,3}") {
        let headers = headers(&fields);
        let cookies = Cookies::read(&headers);
        let _ = (cookies.single(&name), cookies.names_with_prefix(&name), cookies.contains(&name));
    }

    /// What was set is what comes back.
    #[test]
    fn a_cookie_survives_the_round_trip(name in "[a-zA-Z_-]{1,20}", value in "[!#-+\\--:<-\\[\\]-~]{0,200}") {
        let set = SetCookie::new(name.clone(), value.clone(), Seconds(60)).header_value().unwrap();
        let pair = set.as_str().split("; ").next().unwrap().as_bytes().to_vec();
        let headers = headers(&[pair]);
        prop_assert_eq!(Cookies::read(&headers).single(&name), Some(value.as_str()));
    }

    #[test]
    fn a_request_never_traps(fields in vec((":?[a-z]{0,10}", bytes("/.:%a")), 0..8)) {
        let _ = Request::read(fields);
    }

    #[test]
    fn a_callback_never_traps(query in "[code=&stare%0-9a-z+]{0,80}") {
        let _ = AuthorizationResponse::parse(&query);
    }

    /// A template matches itself with its captures filled in, and is refused otherwise.
    #[test]
    fn a_template_matches_what_it_says(text in "(/[a-z{}*%.]{0,4}){0,4}(/\\*\\*)?") {
        if let Ok(template) = PathTemplate::parse(&text) {
            let mut path = text.trim_end_matches("/**").to_owned();
            while let (Some(from), Some(to)) = (path.find('{'), path.find('}')) {
                path.replace_range(from..=to, "x");
            }
            let path = if path.is_empty() { "/" } else { path.as_str() };
            prop_assert!(template.matches(path), "{text} {path}");
            if text.ends_with("/**") {
                let below = format!("{}/below", path.trim_end_matches('/'));
                prop_assert!(template.matches(&below), "{text}");
            }
        }
    }

    #[test]
    fn any_configuration_is_read_or_refused_with_a_reason(text in bytes("{}[]:,\"public_urlrules0a")) {
        let result = Config::parse(&text, &|_| None);
        prop_assert!(result.is_err_and(|problems| !problems.is_empty()));
    }

    /// One wrong value in a good configuration is one or more problems, never a trap, and each on
    /// one line.
    #[test]
    fn any_wrong_value_has_a_message_of_one_line(path in 0..WRONG.len(), value in json_value()) {
        let mut config = good();
        *config.pointer_mut(WRONG[path]).unwrap() = value;
        let environment = |_: &str| Some("dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktMDE=".to_owned());
        if let Err(problems) = Config::parse(config.to_string().as_bytes(), &environment) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(!problem.to_string().contains(['\n', '\r', '\u{1b}']), "{problem}");
            }
        }
    }

    #[test]
    fn json_is_read_or_refused(text in bytes("{}[]:,\"0a\\u")) {
        let _ = (Json::parse(&text), Json::parse_strict(&text));
    }
}

const WRONG: [&str; 16] = [
    "",
    "/public_url",
    "/bitbucket",
    "/bitbucket/scopes",
    "/bitbucket/web",
    "/bitbucket/client_secret",
    "/consumers",
    "/consumers/ci",
    "/consumers/ci/api_budget",
    "/session/keys",
    "/session/keys/0/kid",
    "/session",
    "/identity_headers",
    "/rules",
    "/rules/0/match",
    "/rules/0/consumer",
];

fn good() -> serde_json::Value {
    serde_json::json!({
        "public_url": "https://tools.example.com",
        "bitbucket": {
            "client_id": "id",
            "client_secret": {"env": "SECRET"},
            "scopes": ["account"],
            "web": {"cluster": "web"},
            "api": {"cluster": "api"},
        },
        "consumers": {"ci": {
            "client_id": "ci", "client_secret": {"env": "SECRET"}, "scopes": ["account"], "api_budget": 1,
        }},
        "session": {"keys": [{"kid": "a", "key": {"env": "KEY"}}]},
        "identity_headers": {"x-user": "account_id"},
        "rules": [{"match": {"path": "/**"}, "allow": "signed_in", "inject": "bearer", "consumer": "ci"}],
    })
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[a-z_\n]{0,8}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}
