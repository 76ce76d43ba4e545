//! The compact form of a JWS (RFC 7515 section 7.1).
//!
//! ```text
//! token = BASE64URL(header) "." BASE64URL(payload) "." BASE64URL(signature)
//! ```

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::host::SignatureAlgorithm;
use crate::jose::{InvalidToken, MAX_TOKEN_BYTES};
use crate::json::Json;

/// The most bytes of a header in base64url; one has 50 to 150.
const MAX_HEADER_BYTES: usize = 2_048;

/// The most bytes of a key's name.
const MAX_KEY_ID_BYTES: usize = 256;

/// What would change the meaning of the rest: extensions (RFC 7515 section 4.1.11), a payload that is
/// not encoded (RFC 7797), encrypted or compressed tokens (RFC 7516), and tokens within tokens
/// (RFC 7519 section 5.2).
const REFUSED: [&str; 5] = ["b64", "crit", "cty", "enc", "zip"];

/// A token whose signature has not been verified.
#[derive(Debug)]
pub struct Jws<'t> {
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) key_id: Option<String>,
    /// What was signed (RFC 7515 section 5.2).
    pub(super) signing_input: &'t str,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// Reads a token. Keys in its header (`jwk`, `jku`, `x5c`, `x5u`) say nothing.
    ///
    /// # Errors
    /// [`InvalidToken::Algorithm`] for one that is not among those of [`SignatureAlgorithm`], and
    /// [`InvalidToken::Malformed`].
    pub fn parse(token: &'t str) -> Result<Self, InvalidToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(InvalidToken::Malformed);
        }
        let (header, rest) = split(token).ok_or(InvalidToken::Malformed)?;
        let (payload, signature) = split(rest).ok_or(InvalidToken::Malformed)?;
        let end = token
            .len()
            .saturating_sub(signature.len())
            .saturating_sub(1);
        let signing_input = token.get(..end).unwrap_or_default();
        if header.len() > MAX_HEADER_BYTES {
            return Err(InvalidToken::Malformed);
        }
        let (algorithm, key_id) = read_header(&decoded(header)?)?;
        Ok(Self {
            algorithm,
            key_id,
            signing_input,
            payload: decoded(payload)?,
            signature: decoded(signature)?,
        })
    }

    /// What was signed. Not to be believed before the signature is verified.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether it says which key it is signed with.
    #[must_use]
    pub fn names_a_key(&self) -> bool {
        self.key_id.is_some()
    }
}

/// What is before and behind the first dot.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == b'.')?;
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

/// A part of the token; a further dot is no character of it. No part may be empty.
fn decoded(part: &str) -> Result<Vec<u8>, InvalidToken> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok();
    bytes
        .filter(|bytes| !bytes.is_empty())
        .ok_or(InvalidToken::Malformed)
}

fn read_header(bytes: &[u8]) -> Result<(SignatureAlgorithm, Option<String>), InvalidToken> {
    const MALFORMED: InvalidToken = InvalidToken::Malformed;
    let header = Json::parse_strict(bytes).ok_or(MALFORMED)?;
    if REFUSED.iter().any(|name| header.member(name).is_some()) {
        return Err(MALFORMED);
    }
    match header.member("typ").map(Json::as_str) {
        None => {}
        Some(Some(kind)) if is_type(kind) => {}
        Some(_) => return Err(MALFORMED),
    }
    let key_id = match header.member("kid") {
        None => None,
        Some(Json::String(text)) if (1..=MAX_KEY_ID_BYTES).contains(&text.len()) => {
            Some(text.clone())
        }
        Some(_) => return Err(MALFORMED),
    };
    let name = header.member("alg").and_then(Json::as_str);
    let algorithm = SignatureAlgorithm::named(name.ok_or(MALFORMED)?);
    Ok((algorithm.ok_or(InvalidToken::Algorithm)?, key_id))
}

/// A media type, whose "application/" may be left out (RFC 7515 section 4.1.9): a JWT, or the access
/// token of RFC 9068. Other kinds, such as a logout token, stand in for neither.
fn is_type(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    matches!(kind, "jwt" | "at+jwt")
}

#[cfg(test)]
#[expect(
    clippy::string_slice,
    reason = "tests: a failed expectation is a failed test"
)]
mod tests {
    use super::*;
    use crate::jose::Signer;

    fn parse(token: &str) -> Result<(), InvalidToken> {
        Jws::parse(token).map(|_| ())
    }

    fn with_header(header: &str) -> Result<(), InvalidToken> {
        parse(&Signer::new("k", 1).sign(header, "{}"))
    }

    #[test]
    fn headers() {
        let good = [
            r#"{"alg":"ES256"}"#,
            r#" { "alg" : "RS512" , "kid" : "a b" } "#,
            r#"{"alg":"RS256","typ":"jwt","x5t":"abc"}"#,
            r#"{"alg":"RS256","typ":"application/AT+JWT"}"#,
            r#"{"alg":"ES384","typ":"at+jwt"}"#,
            // Keys of its own are not looked at.
            r#"{"alg":"ES256","jwk":{"kty":"oct"},"jku":"http://a.test","x5c":[],"x5u":7}"#,
        ];
        for header in good {
            assert_eq!(with_header(header), Ok(()), "{header}");
        }
        let algorithms = [
            "none",
            "None",
            "NONE",
            "HS256",
            "hs256",
            "es256",
            "RS1",
            "PS256",
            "EdDSA",
            "ES512",
            "",
            "ES256 ",
            "RSA-OAEP",
            "A256GCMKW",
            "dir",
        ];
        for name in algorithms {
            let header = format!(r#"{{"alg":"{name}"}}"#);
            assert_eq!(with_header(&header), Err(InvalidToken::Algorithm), "{name}");
        }
        let malformed = [
            "",
            "7",
            "null",
            "[]",
            "{}",
            "\"ES256\"",
            r#"{"alg":["ES256"]}"#,
            r#"{"alg":null}"#,
            r#"{"ALG":"ES256"}"#,
            r#"{"alg":"ES256","alg":"ES256"}"#,
            r#"{"alg":"none","\u0061lg":"ES256"}"#,
            r#"{"alg":"ES256"} x"#,
            r#"{"alg":"ES256","kid":7}"#,
            r#"{"alg":"ES256","kid":""}"#,
            r#"{"alg":"ES256","kid":null}"#,
            r#"{"alg":"ES256","crit":[]}"#,
            r#"{"alg":"ES256","crit":["exp"]}"#,
            r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
            r#"{"alg":"ES256","b64":true}"#,
            r#"{"alg":"ES256","cty":"JWT"}"#,
            r#"{"alg":"ES256","enc":"A128GCM"}"#,
            r#"{"alg":"ES256","zip":"DEF"}"#,
            r#"{"alg":"ES256","typ":7}"#,
            r#"{"alg":"ES256","typ":""}"#,
            r#"{"alg":"ES256","typ":"JOSE"}"#,
            r#"{"alg":"ES256","typ":"logout+jwt"}"#,
            r#"{"alg":"ES256","typ":"bitgate-identity+jwt"}"#,
            r#"{"alg":"ES256","typ":"dpop+jwt"}"#,
        ];
        for header in malformed {
            assert_eq!(
                with_header(header),
                Err(InvalidToken::Malformed),
                "{header}"
            );
        }
    }

    #[test]
    fn the_form() {
        let good = Signer::new("k", 1).sign(r#"{"alg":"ES256"}"#, "{}");
        assert_eq!(parse(&good), Ok(()));
        let (input, signature) = good.rsplit_once('.').unwrap();
        let (header, payload) = input.split_once('.').unwrap();
        let bad = [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            ".".repeat(10_000),
            input.to_owned(),
            format!("{input}."),
            format!(".{payload}.{signature}"),
            format!("{header}..{signature}"),
            format!("{good}."),
            format!("{good}.{signature}"),
            format!("{good}.{header}.{payload}"),
            format!("{good}="),
            format!("{header}.{payload}=.{signature}"),
            format!(" {good}"),
            format!("{good} "),
            format!("{header}.{payload}\n.{signature}"),
            good.replace('.', "%2E"),
            format!("{header}.{payload}.{}+/", &signature[2..]),
            // Bits behind the last byte.
            format!("{header}.e31.{signature}"),
            format!("{header}.e30\0.{signature}"),
            format!("{header}.\u{e9}.{signature}"),
            format!("{input}.{}", "A".repeat(MAX_TOKEN_BYTES)),
            Signer::new("k", 1).sign(
                &format!(
                    r#"{{"alg":"ES256","x":"{}"}}"#,
                    "a".repeat(MAX_HEADER_BYTES)
                ),
                "{}",
            ),
            r#"{"payload":"e30","protected":"e30","signature":"e30"}"#.to_owned(),
        ];
        for token in bad {
            assert_eq!(parse(&token), Err(InvalidToken::Malformed), "{token:.200}");
        }
    }
}
