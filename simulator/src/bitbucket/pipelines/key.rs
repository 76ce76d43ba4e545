//! Keys of tests, and tokens that are signed with them, right ones and wrong ones.

use std::fmt;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey, LineEnding};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// RFC 8017 section 9.2, note 1: what is before a SHA-256 in a signature.
pub(super) const SHA256_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// Made once with OpenSSL, since that takes seconds without optimisation. They protect nothing.
static KEYS: [LazyLock<RsaPrivateKey>; 4] = [
    LazyLock::new(|| parsed(include_str!("keys/1.pem"))),
    LazyLock::new(|| parsed(include_str!("keys/2.pem"))),
    LazyLock::new(|| parsed(include_str!("keys/3.pem"))),
    LazyLock::new(|| parsed(include_str!("keys/4.pem"))),
];
static FOREIGN: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| parsed(include_str!("keys/foreign.pem")));

fn parsed(pem: &str) -> RsaPrivateKey {
    RsaPrivateKey::from_pkcs8_pem(pem).expect("the key of a test")
}

/// An RSA key of 2,048 bits with an id.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    key: &'static LazyLock<RsaPrivateKey>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.kid).finish()
    }
}

impl SigningKey {
    /// The key with this number. There are four: the fifth is the first one with another id.
    pub(super) fn numbered(number: usize, kid: &str) -> Self {
        let key = KEYS.iter().cycle().nth(number.saturating_sub(1));
        Self {
            kid: kid.to_owned(),
            key: key.unwrap_or(&FOREIGN),
        }
    }

    /// A key that Pipelines never has.
    #[must_use]
    pub fn foreign() -> Self {
        Self {
            kid: "foreign".to_owned(),
            key: &FOREIGN,
        }
    }

    /// The same key with another id.
    #[must_use]
    pub fn called(mut self, kid: &str) -> Self {
        kid.clone_into(&mut self.kid);
        self
    }

    /// Its id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Its public half as a JWK (RFC 7517).
    #[must_use]
    pub fn jwk(&self) -> Value {
        let text = |number: &rsa::BigUint| URL_SAFE_NO_PAD.encode(number.to_bytes_be());
        let key: &RsaPrivateKey = self.key;
        json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": text(key.n()),
            "e": text(key.e()),
        })
    }

    /// Its public half as PEM (RFC 7468 section 13): what a confused verifier takes for a secret.
    #[must_use]
    pub fn public_pem(&self) -> String {
        let pem = self.key.to_public_key().to_public_key_pem(LineEnding::LF);
        pem.unwrap_or_default()
    }

    /// A token in the compact form (RFC 7515 section 7.1), with a signature of RS256 whatever the
    /// header says.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&signed_part(header, claims))
    }

    /// As [`Self::sign`], over two parts of your choice with a dot between them.
    #[must_use]
    pub fn sign_text(&self, text: &str) -> String {
        let padding = Pkcs1v15Sign {
            hash_len: Some(32),
            prefix: SHA256_PREFIX.into(),
        };
        let digest = Sha256::digest(text.as_bytes());
        let signature = self.key.sign(padding, &digest).unwrap_or_default();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A token with a signature of HS256 (RFC 7518 section 3.2), whatever the header says.
#[must_use]
pub fn hmac(secret: &[u8], header: &Value, claims: &Value) -> String {
    let text = signed_part(header, claims);
    let tag = hmac_sha256::HMAC::mac(text.as_bytes(), secret);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// A token without a signature (RFC 7515 appendix A.5), whatever the header says.
#[must_use]
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.", signed_part(header, claims))
}

fn signed_part(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}
