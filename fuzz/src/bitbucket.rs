//! Who a token belongs to.

use bitgate::bitbucket::{InvalidAnswer, read_emails, read_user};
use serde_json::Value;

use crate::setup::{answer, is_one_line};

fn check_error(error: &InvalidAnswer) {
    let text = error.to_string();
    assert!(is_one_line(&text) && text.len() < 200, "{text:?}");
}

fn is_visible(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// The input is the body of `/2.0/user`.
pub(crate) fn user(bytes: &[u8]) {
    assert!(read_user(answer(500, bytes)).is_err());
    let account = match read_user(answer(200, bytes)) {
        Ok(account) => account,
        Err(error) => return check_error(&error),
    };
    let document: Value = serde_json::from_slice(bytes).expect("an account comes from JSON");
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    assert_eq!(text("type"), Some("user"));
    assert!(matches!(text("account_status"), None | Some("active")));
    assert_eq!(text("account_id"), Some(account.account_id.as_str()));
    assert!((1..=128).contains(&account.account_id.len()));
    assert!(is_visible(&account.account_id), "{}", account.account_id);
    if let Some(nickname) = &account.nickname {
        assert!(is_one_line(nickname) && nickname.chars().count() <= 64);
    }
}

/// The input is the body of `/2.0/user/emails`: an address is the one that is primary and
/// confirmed, or there is none.
pub(crate) fn emails(bytes: &[u8]) {
    assert!(read_emails(answer(403, bytes)).is_err());
    let email = match read_emails(answer(200, bytes)) {
        Ok(email) => email,
        Err(error) => return check_error(&error),
    };
    let document: Value = serde_json::from_slice(bytes).expect("addresses come from JSON");
    let rows = document.get("values").and_then(Value::as_array);
    let rows = rows.expect("addresses come in a list");
    let is_true = |row: &Value, name: &str| row.get(name) == Some(&Value::Bool(true));
    let good: Vec<_> = rows
        .iter()
        .filter(|row| is_true(row, "is_primary") && is_true(row, "is_confirmed"))
        .map(|row| row.get("email").and_then(Value::as_str))
        .collect();
    match email {
        None => assert!(good.is_empty()),
        Some(email) => {
            assert_eq!(good, [Some(email.as_str())]);
            assert!(is_visible(&email) && email.len() <= 254, "{email}");
            let (local, domain) = email.split_once('@').expect("an @");
            assert!(!local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        }
    }
}
