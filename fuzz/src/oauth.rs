//! What the provider sends: by the browser, and from the token endpoint.

use bitgate::bitbucket::Granted;
use bitgate::oauth::{AuthorizationResponse, InvalidTokenResponse, bearer_authorization};
use serde_json::Value;
use url::form_urlencoded;

use crate::setup::{NOW, answer, is_one_line};

/// The input is the query of a callback.
pub(crate) fn authorization_response(bytes: &[u8]) {
    let Ok(query) = std::str::from_utf8(bytes) else {
        return;
    };
    let all = |wanted: &str| -> Vec<String> {
        let pairs = form_urlencoded::parse(bytes).filter(|(name, _)| name == wanted);
        pairs.map(|(_, value)| value.into_owned()).collect()
    };
    let (codes, states, errors) = (all("code"), all("state"), all("error"));
    let given = [&codes, &states, &errors].into_iter().flatten();
    let fit = given
        .clone()
        .all(|value| (1..=4_096).contains(&value.len()));
    match AuthorizationResponse::parse(query) {
        Ok(AuthorizationResponse::Granted { code, state }) => {
            assert_eq!(
                (codes.as_slice(), errors.len()),
                (&[code.expose().to_owned()][..], 0)
            );
            assert_eq!(states, [state.expose()]);
            assert!(fit);
            let again = form_urlencoded::Serializer::new(String::new())
                .append_pair("state", state.expose())
                .append_pair("code", code.expose())
                .finish();
            let response = AuthorizationResponse::Granted { code, state };
            assert_eq!(AuthorizationResponse::parse(&again), Ok(response));
        }
        Ok(AuthorizationResponse::Refused { error, state }) => {
            assert_eq!((errors.as_slice(), codes.len()), (&[error][..], 0));
            assert_eq!(states, [state.expose()]);
            assert!(fit);
        }
        Err(error) => {
            assert!(is_one_line(&error.to_string()));
            let is_good = states.len() == 1 && codes.len() + errors.len() == 1 && fit;
            assert!(!is_good, "a good response is refused: {error}");
        }
    }
}

/// The input is the body of the token endpoint's answer.
pub(crate) fn token_response(bytes: &[u8]) {
    for status in [201, 302, 400, 401, 429, 503] {
        match Granted::read(answer(status, bytes), NOW) {
            Err(error) => check_error(&error),
            Ok(_) => panic!("tokens in an answer with status {status}"),
        }
    }
    let granted = match Granted::read(answer(200, bytes), NOW) {
        Ok(granted) => granted,
        Err(error) => {
            assert!(!matches!(error, InvalidTokenResponse::Refused(_)));
            return check_error(&error);
        }
    };
    let document: Value = serde_json::from_slice(bytes).expect("tokens come from JSON");
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let is_token = |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    let grant = &granted.grant;
    assert_eq!(text("access_token"), Some(grant.access_token.expose()));
    assert!(is_token(grant.access_token.expose()));
    assert!(bearer_authorization(&grant.access_token).is_some());
    let refresh_token = grant.refresh_token.as_ref().map(|token| token.expose());
    assert_eq!(text("refresh_token"), refresh_token);
    assert!(refresh_token.is_none_or(is_token));
    assert!(text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")));
    assert!(
        grant.expires_at > NOW,
        "a token lives for a second at least"
    );
    let scope = text("scope").or_else(|| text("scopes"));
    assert_eq!(granted.scopes.is_some(), scope.is_some());
    let shown = format!("{granted:?}");
    assert!(grant.access_token.expose().len() < 24 || !shown.contains(grant.access_token.expose()));
}

/// An error is logged: one short line, with no word of the answer but a code.
fn check_error(error: &InvalidTokenResponse) {
    let text = error.to_string();
    assert!(is_one_line(&text) && text.len() < 200, "{text:?}");
    if let InvalidTokenResponse::Refused(code) = error {
        let is_word = |b: u8| b.is_ascii_lowercase() || b == b'_';
        assert!(
            (1..=40).contains(&code.len()) && code.bytes().all(is_word),
            "{code:?}"
        );
    }
}
