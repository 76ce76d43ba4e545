//! What a token says (RFC 7519 section 4.1).

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::jose::compact::split;
use crate::jose::{InvalidToken, MAX_TOKEN_BYTES};
use crate::json::Json;
use crate::time::{Seconds, UnixTime};

/// How far the issuer's clock may be from ours.
const SKEW: Seconds = Seconds(60);

/// The longest life of a token. Who needs a longer one has a credential, not a token.
const MAX_LIFETIME: Seconds = Seconds::from_hours(24);

/// The longest subject, as OpenID Connect has it.
const MAX_SUBJECT_BYTES: usize = 255;

/// A claim that must be there, as a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredClaim {
    /// Its name.
    pub name: String,
    /// The values of which it must have one, exactly.
    pub values: Vec<String>,
}

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'e> {
    /// Exactly `iss`.
    pub issuer: &'e str,
    /// One of them must be in `aud`, exactly.
    pub audiences: &'e [String],
    /// Further claims.
    pub required: &'e [RequiredClaim],
}

/// Claims that are as they were expected.
#[derive(Clone, PartialEq)]
pub struct Claims {
    /// `sub`: 1 to 255 ASCII characters, none of them a control.
    pub subject: String,
    /// `iat`, if it is there.
    pub issued_at: Option<UnixTime>,
    /// `exp`.
    pub expires_at: UnixTime,
    document: Json,
}

impl Claims {
    /// Reads the payload of a token and checks everything that does not need its key. A clock may be
    /// a minute wrong; a token that lives for more than a day is refused.
    ///
    /// # Errors
    /// [`InvalidToken`].
    pub fn read(
        payload: &[u8],
        expected: &Expected<'_>,
        now: UnixTime,
    ) -> Result<Self, InvalidToken> {
        let document = Json::parse_strict(payload).filter(Json::is_object);
        let document = document.ok_or(InvalidToken::Malformed)?;
        if document.member("iss").and_then(Json::as_str) != Some(expected.issuer) {
            return Err(InvalidToken::WrongIssuer);
        }
        let issued_at = moment(&document, "iat")?;
        let not_before = moment(&document, "nbf")?;
        let expires_at = moment(&document, "exp")?.ok_or(InvalidToken::Claim)?;
        check_times(issued_at, not_before, expires_at, now)?;
        if !is_meant_for(&document, expected.audiences)? {
            return Err(InvalidToken::WrongAudience);
        }
        let subject = document.member("sub").and_then(Json::as_str);
        let subject = subject.filter(|text| is_subject(text));
        let subject = subject.ok_or(InvalidToken::Claim)?.to_owned();
        let has = |claim: &RequiredClaim| {
            let found = document.member(&claim.name).and_then(Json::as_str);
            found.is_some_and(|found| claim.values.iter().any(|value| value == found))
        };
        if !expected.required.iter().all(has) {
            return Err(InvalidToken::Claim);
        }
        Ok(Self {
            subject,
            issued_at,
            expires_at,
            document,
        })
    }

    /// A claim that is a string, if it is there.
    ///
    /// # Errors
    /// [`InvalidToken::Malformed`] if it is anything else.
    pub fn text(&self, name: &str) -> Result<Option<&str>, InvalidToken> {
        match self.document.member(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(InvalidToken::Malformed),
        }
    }

    /// Whether the token's time is over at `now`, with what clocks may differ by.
    #[must_use]
    pub fn is_over(expires_at: UnixTime, now: UnixTime) -> bool {
        // RFC 7519 section 4.1.4: not on that moment either.
        now >= Self::is_over_at(expires_at)
    }

    /// When that is.
    #[must_use]
    pub fn is_over_at(expires_at: UnixTime) -> UnixTime {
        expires_at.plus(SKEW)
    }
}

fn check_times(
    issued_at: Option<UnixTime>,
    not_before: Option<UnixTime>,
    expires_at: UnixTime,
    now: UnixTime,
) -> Result<(), InvalidToken> {
    if Claims::is_over(expires_at, now) {
        return Err(InvalidToken::Expired);
    }
    let begins_at = issued_at.max(not_before).unwrap_or_default();
    if begins_at > now.plus(SKEW) {
        return Err(InvalidToken::NotYetValid);
    }
    let lifetime = expires_at.since(issued_at.unwrap_or(now));
    if begins_at >= expires_at || lifetime > MAX_LIFETIME {
        return Err(InvalidToken::Claim);
    }
    Ok(())
}

/// A NumericDate (RFC 7519 section 2) from 1970 on. Parts of a second are cut off: an end comes earlier
/// for it, a beginning by less than clocks differ.
fn moment(document: &Json, name: &str) -> Result<Option<UnixTime>, InvalidToken> {
    let number = match document.member(name) {
        None => return Ok(None),
        Some(Json::Number(number)) => number.to_string(),
        Some(Json::Null | Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_)) => {
            return Err(InvalidToken::Malformed);
        }
    };
    let whole = number.split('.').next().and_then(|text| text.parse().ok());
    whole
        .map(|seconds| Some(UnixTime(seconds)))
        .ok_or(InvalidToken::Malformed)
}

/// `aud`: one audience or several (RFC 7519 section 4.1.3).
fn is_meant_for(document: &Json, audiences: &[String]) -> Result<bool, InvalidToken> {
    let items = match document.member("aud") {
        None => &[],
        Some(Json::Array(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let mut is_ours = false;
    for item in items {
        let text = item.as_str().ok_or(InvalidToken::Malformed)?;
        is_ours |= audiences.iter().any(|audience| audience == text);
    }
    Ok(is_ours)
}

fn is_subject(text: &str) -> bool {
    let is_mark = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    (1..=MAX_SUBJECT_BYTES).contains(&text.len()) && text.bytes().all(is_mark)
}

/// What a token says, believing nothing: it tells by whose rules the token is judged. Read as loosely as
/// somebody else might, so that no odd spelling makes a token of ours one that is not.
/// [`Json::Null`] for what is no token.
#[must_use]
pub fn unverified_claims(token: &str) -> Json {
    const LOOSE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let behind = split(token).filter(|_| token.len() <= MAX_TOKEN_BYTES);
    let payload = behind.and_then(|(_, rest)| {
        let payload = split(rest).map_or(rest, |(payload, _)| payload);
        LOOSE.decode(payload).ok()
    });
    let claims = payload.and_then(|payload| Json::parse(&payload).ok());
    claims.unwrap_or(Json::Null)
}

/// Whether one of the claims `iss` is this issuer; there is more than one in some tokens.
#[must_use]
pub fn names_issuer(claims: &Json, issuer: &str) -> bool {
    let Json::Object(members) = claims else {
        return false;
    };
    members
        .iter()
        .any(|(name, value)| name == "iss" && value.as_str() == Some(issuer))
}

impl fmt::Debug for Claims {
    /// The document may hold anything about anybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(
    clippy::string_slice,
    reason = "tests: a failed expectation is a failed test"
)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::jose::Signer;

    const NOW: u64 = 1_800_000_000;

    fn read(payload: &str) -> Result<Claims, InvalidToken> {
        let audiences = ["us".to_owned(), "also us".to_owned()];
        let required = [RequiredClaim {
            name: "team".to_owned(),
            values: vec!["red".to_owned(), "blue".to_owned()],
        }];
        let expected = Expected {
            issuer: "https://idp.test",
            audiences: &audiences,
            required: &required,
        };
        Claims::read(payload.as_bytes(), &expected, UnixTime(NOW))
    }

    fn good() -> Value {
        json!({
            "iss": "https://idp.test", "aud": "us", "sub": "ci", "team": "red",
            "iat": NOW - 10, "exp": NOW + 300,
        })
    }

    /// The verdict after `name` got another value, or none.
    fn with(name: &str, value: Option<Value>) -> Option<InvalidToken> {
        let mut claims = good();
        let members = claims.as_object_mut().unwrap();
        match value {
            Some(value) => members.insert(name.to_owned(), value),
            None => members.remove(name),
        };
        read(&claims.to_string()).err()
    }

    #[test]
    fn a_good_token_says_who() {
        let claims = read(&good().to_string()).unwrap();
        assert_eq!(claims.subject, "ci");
        assert_eq!(claims.issued_at, Some(UnixTime(NOW - 10)));
        assert_eq!(claims.expires_at, UnixTime(NOW + 300));
        assert_eq!(claims.text("team"), Ok(Some("red")));
        assert_eq!(claims.text("none"), Ok(None));
        assert_eq!(claims.text("exp"), Err(InvalidToken::Malformed));
        assert!(!format!("{claims:?}").contains("red"));
    }

    #[test]
    fn each_claim_has_its_edges() {
        use InvalidToken::{Claim, Expired, Malformed, NotYetValid, WrongAudience, WrongIssuer};
        let long = "a".repeat(256);
        let table = [
            ("iss", json!("https://idp.test/"), Some(WrongIssuer)),
            ("iss", json!("https://IDP.test"), Some(WrongIssuer)),
            ("iss", json!("https://idp.test:443"), Some(WrongIssuer)),
            ("iss", json!(["https://idp.test"]), Some(WrongIssuer)),
            ("aud", json!("us "), Some(WrongAudience)),
            ("aud", json!("Us"), Some(WrongAudience)),
            ("aud", json!([]), Some(WrongAudience)),
            ("aud", json!(["them", "also us"]), None),
            ("aud", json!(["them", 7]), Some(Malformed)),
            ("aud", json!({"us": 1}), Some(Malformed)),
            ("aud", json!(null), Some(Malformed)),
            ("exp", json!(NOW - 61), Some(Expired)),
            ("exp", json!(NOW - 60), Some(Expired)),
            ("exp", json!(NOW - 9), None),
            ("exp", json!(NOW + 1), None),
            ("exp", json!(1_800_000_001.9), None),
            ("exp", json!(0), Some(Expired)),
            ("exp", json!(-1), Some(Malformed)),
            ("exp", json!(1e300), Some(Malformed)),
            ("exp", json!("1800000300"), Some(Malformed)),
            ("exp", json!(null), Some(Malformed)),
            ("exp", json!(true), Some(Malformed)),
            ("exp", json!(u64::MAX), Some(Claim)),
            // A day from when it was made, and no more.
            ("exp", json!(NOW - 10 + 86_400), None),
            ("exp", json!(NOW - 10 + 86_401), Some(Claim)),
            ("nbf", json!(NOW + 60), None),
            ("nbf", json!(NOW + 61), Some(NotYetValid)),
            ("nbf", json!("soon"), Some(Malformed)),
            ("nbf", json!(-5), Some(Malformed)),
            ("iat", json!(NOW + 60), None),
            ("iat", json!(NOW + 61), Some(NotYetValid)),
            ("iat", json!([]), Some(Malformed)),
            ("iat", json!(0), Some(Claim)),
            ("sub", json!(""), Some(Claim)),
            ("sub", json!(["ci"]), Some(Claim)),
            ("sub", json!("c\u{1}i"), Some(Claim)),
            ("sub", json!("c\u{e9}"), Some(Claim)),
            ("sub", json!(long), Some(Claim)),
            ("sub", json!("CN=ci, O=us"), None),
            ("team", json!("blue"), None),
            ("team", json!("Red"), Some(Claim)),
            ("team", json!(["red"]), Some(Claim)),
        ];
        for (name, value, verdict) in table {
            assert_eq!(with(name, Some(value.clone())), verdict, "{name}: {value}");
        }
        for (name, verdict) in [
            ("iss", Some(WrongIssuer)),
            ("aud", Some(WrongAudience)),
            ("exp", Some(Claim)),
            ("iat", None),
            ("sub", Some(Claim)),
            ("team", Some(Claim)),
        ] {
            assert_eq!(with(name, None), verdict, "without {name}");
        }
    }

    /// An end that is within what clocks differ by, and before the beginning.
    #[test]
    fn a_token_that_ends_before_it_begins_is_refused() {
        let mut claims = good();
        claims["iat"] = json!(NOW + 20);
        claims["exp"] = json!(NOW + 20);
        assert_eq!(read(&claims.to_string()), Err(InvalidToken::Claim));
    }

    #[test]
    fn a_payload_is_one_object_without_repeated_members() {
        let good = good().to_string();
        let inner = &good[1..good.len() - 1];
        for payload in [
            String::new(),
            "[]".to_owned(),
            "null".to_owned(),
            "\"{}\"".to_owned(),
            format!("{{{inner}}}x"),
            format!("{{{inner}}}{{}}"),
            format!("{{{inner},}}"),
            format!("{{{inner},\"sub\":\"ci\"}}"),
            format!("{{{inner},\"\\u0073ub\":\"ci\"}}"),
            format!("{{{inner},\"x\":{{\"a\":1,\"a\":2}}}}"),
            format!("{{{inner},\"x\":NaN}}"),
            format!("{{{inner}/**/}}"),
            "[".repeat(5_000),
        ] {
            assert_eq!(
                read(&payload),
                Err(InvalidToken::Malformed),
                "{payload:.200}"
            );
        }
    }

    /// What is strange about a token must not make it somebody else's.
    #[test]
    fn the_issuer_is_seen_through_odd_spellings() {
        let signer = Signer::new("k", 1);
        let token = signer.sign("{}", r#"{"iss":"a","\u0069ss":"b","iss":7}"#);
        let names = |token: &str, issuer| names_issuer(&unverified_claims(token), issuer);
        assert!(names(&token, "a") && names(&token, "b") && !names(&token, "7"));
        let (input, signature) = token.rsplit_once('.').unwrap();
        for odd in [
            input.to_owned(),
            format!("{input}."),
            format!("{input}==.{signature}"),
            format!("{token}.{signature}"),
            input.replace("eyJpc3", ".eyJpc3").replacen("..", ".", 1),
        ] {
            assert!(names(&odd, "a") && names(&odd, "b"), "{odd}");
        }
        for other in [
            "",
            ".",
            "opaque",
            "a.b.c",
            "e30.e30.e30",
            "e30.W10.e30",
            "x.e30",
        ] {
            assert!(!names(other, "a"), "{other}");
        }
        let large = signer.sign(
            "{}",
            &format!(r#"{{"iss":"a","x":"{}"}}"#, "x".repeat(20_000)),
        );
        assert!(!names(&large, "a"));
    }
}
