//! Who a token belongs to: `/2.0/user` and `/2.0/user/emails`.

use crate::bitbucket::answer::{document, is_account_id};
use crate::bitbucket::{Credential, Endpoint, InvalidAnswer};
use crate::http::{Call, Reply};
use crate::identity::{Identity, Principal};
use crate::json::Json;

/// Asks who the token belongs to. Needs the scope `account`.
#[must_use]
pub fn user_call(api: &Endpoint, credential: &Credential) -> Call {
    api.api_call("/2.0/user", credential)
}

/// Asks for their e-mail addresses. Needs the scope `email`. One page is enough: it holds up to
/// 100, and only one of a person's addresses is primary.
#[must_use]
pub fn emails_call(api: &Endpoint, credential: &Credential) -> Call {
    api.api_call("/2.0/user/emails?pagelen=100", credential)
}

/// What `/2.0/user` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Atlassian's id of the account, the same in all its products and never reassigned.
    pub account_id: String,
    /// What they call themselves; neither unique nor stable.
    pub nickname: Option<String>,
}

impl Account {
    /// The identity, with the address that [`read_emails`] found.
    #[must_use]
    pub fn with_email(self, email: Option<String>) -> Identity {
        Identity {
            account_id: self.account_id,
            email,
            nickname: self.nickname,
        }
    }
}

/// Reads the answer to [`user_call`] about somebody who signs in.
///
/// # Errors
/// [`InvalidAnswer`]. An account that is not an active person's is [`InvalidAnswer::Denied`]: a
/// bot cannot sign in.
pub fn read_user(reply: Reply) -> Result<Account, InvalidAnswer> {
    match read_owner(reply)? {
        (Principal::Person, account) => Ok(account),
        (Principal::Bot | Principal::Pipeline, _) => Err(InvalidAnswer::Denied(200)),
    }
}

/// Reads the answer to [`user_call`] about whoever owns a token: a person, or a consumer's own
/// account, which is a bot.
///
/// # Errors
/// [`InvalidAnswer`]. An account that is not active is [`InvalidAnswer::Denied`].
pub fn read_owner(reply: Reply) -> Result<(Principal, Account), InvalidAnswer> {
    let document = document(reply)?;
    let text = |name| document.member(name).and_then(Json::as_str);
    let principal = match text("type").ok_or(InvalidAnswer::Malformed("type"))? {
        "user" => Principal::Person,
        "app_user" => Principal::Bot,
        _ => return Err(InvalidAnswer::Denied(200)),
    };
    if !matches!(text("account_status"), None | Some("active")) {
        return Err(InvalidAnswer::Denied(200));
    }
    let account_id = text("account_id").filter(|id| is_account_id(id));
    let account_id = account_id
        .ok_or(InvalidAnswer::Malformed("account_id"))?
        .to_owned();
    let nickname = text("nickname").or_else(|| text("display_name"));
    let nickname = nickname.map(|name| name.chars().filter(|c| !c.is_control()).take(64).collect());
    let account = Account {
        account_id,
        nickname,
    };
    Ok((principal, account))
}

/// Reads the answer to [`emails_call`]: the primary address, if it is confirmed. An address that
/// is not confirmed may be anybody's.
///
/// # Errors
/// [`InvalidAnswer`].
pub fn read_emails(reply: Reply) -> Result<Option<String>, InvalidAnswer> {
    let document = document(reply)?;
    let values = document.member("values").and_then(Json::as_array);
    let values = values.ok_or(InvalidAnswer::Malformed("values"))?;
    let holds = |row: &Json, name| row.member(name).and_then(Json::as_bool) == Some(true);
    let mut primary = values
        .iter()
        .filter(|row| holds(row, "is_primary") && holds(row, "is_confirmed"));
    let Some(row) = primary.next() else {
        return Ok(None);
    };
    // Two primary addresses: nobody knows which.
    if primary.next().is_some() {
        return Err(InvalidAnswer::Malformed("is_primary"));
    }
    let email = row
        .member("email")
        .and_then(Json::as_str)
        .filter(|text| is_email(text));
    email
        .map(|text| Some(text.to_owned()))
        .ok_or(InvalidAnswer::Malformed("email"))
}

/// One `@` between visible ASCII, at most the 254 bytes of RFC 5321.
fn is_email(text: &str) -> bool {
    let visible = text.len() <= 254 && text.bytes().all(|b| b.is_ascii_graphic() && b != b',');
    let parts = text.split_once('@');
    visible && parts.is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && !b.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(body: &str) -> Reply {
        let body = body.as_bytes().to_vec();
        Reply::Answer {
            status: 200,
            media_type: "application/json".to_owned(),
            body,
            retry_after: None,
        }
    }

    #[test]
    fn only_an_active_person_is_read() {
        let account = read_user(json(
            r#"{"type":"user","account_id":"557058:a","nickname":"ad\u0000a","account_status":"active"}"#,
        ));
        let nickname = Some("ada".to_owned());
        assert_eq!(
            account,
            Ok(Account {
                account_id: "557058:a".to_owned(),
                nickname
            })
        );
        let table = [
            (
                r#"{"type":"app_user","account_id":"a"}"#,
                InvalidAnswer::Denied(200),
            ),
            (
                r#"{"type":"user","account_id":"a","account_status":"closed"}"#,
                InvalidAnswer::Denied(200),
            ),
            (r#"{"account_id":"a"}"#, InvalidAnswer::Malformed("type")),
            (r#"{"type":"user"}"#, InvalidAnswer::Malformed("account_id")),
            (
                r#"{"type":"user","account_id":""}"#,
                InvalidAnswer::Malformed("account_id"),
            ),
            (
                r#"{"type":"user","account_id":"a\r\nx: y"}"#,
                InvalidAnswer::Malformed("account_id"),
            ),
            (
                r#"{"type":"user","account_id":7}"#,
                InvalidAnswer::Malformed("account_id"),
            ),
            (
                r#"{"type":"user","account_id":"a","account_id":"b"}"#,
                InvalidAnswer::Malformed("body"),
            ),
            ("", InvalidAnswer::Malformed("body")),
        ];
        for (body, error) in table {
            assert_eq!(read_user(json(body)), Err(error), "{body}");
        }
    }

    #[test]
    fn refusals_and_outages_are_kept_apart() {
        let reply = |status| Reply::Answer {
            status,
            media_type: String::new(),
            body: Vec::new(),
            retry_after: None,
        };
        assert_eq!(read_user(reply(401)), Err(InvalidAnswer::Denied(401)));
        assert_eq!(
            read_user(reply(200)),
            Err(InvalidAnswer::Malformed("content-type"))
        );
        assert_eq!(read_user(reply(404)), Err(InvalidAnswer::NotFound));
        let limited = Err(InvalidAnswer::RateLimited(None));
        assert_eq!(read_user(reply(429)), limited);
        for status in [302, 410, 500, 503] {
            assert_eq!(
                read_user(reply(status)),
                Err(InvalidAnswer::Unavailable(status))
            );
        }
        assert_eq!(
            read_user(Reply::TimedOut),
            Err(InvalidAnswer::NoAnswer(Reply::TimedOut))
        );
    }

    #[test]
    fn only_the_primary_and_confirmed_address_counts() {
        let row = |email: &str, primary: bool, confirmed: bool| {
            format!(r#"{{"email":"{email}","is_primary":{primary},"is_confirmed":{confirmed}}}"#)
        };
        let emails =
            |rows: &[String]| read_emails(json(&format!(r#"{{"values":[{}]}}"#, rows.join(","))));
        let other = row("o@x.test", false, true);
        assert_eq!(
            emails(&[other.clone(), row("a@x.test", true, true)]),
            Ok(Some("a@x.test".to_owned()))
        );
        assert_eq!(
            emails(&[other.clone(), row("a@x.test", true, false)]),
            Ok(None)
        );
        assert_eq!(emails(&[]), Ok(None));
        let both = [row("a@x.test", true, true), row("b@x.test", true, true)];
        assert_eq!(emails(&both), Err(InvalidAnswer::Malformed("is_primary")));
        for email in ["a", "@x", "a@", "a@b@c", "a b@c", "a,b@c", "\\u00e9@c"] {
            let answer = emails(&[row(email, true, true)]);
            assert_eq!(answer, Err(InvalidAnswer::Malformed("email")), "{email}");
        }
        assert_eq!(
            read_emails(json("[]")),
            Err(InvalidAnswer::Malformed("values"))
        );
    }
}
