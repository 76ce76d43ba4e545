//! An issuer for tests.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

/// A key of ES256 and its name.
pub(crate) struct Signer {
    key: SigningKey,
    pub(crate) kid: String,
}

impl Signer {
    pub(crate) fn new(kid: &str, seed: u8) -> Self {
        Self {
            key: SigningKey::from_slice(&[seed; 32]).unwrap(),
            kid: kid.to_owned(),
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.key.verifying_key().to_sec1_point(false);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "EC",
            "crv": "P-256",
            "kid": self.kid,
            "x": text(&point.as_bytes()[1..33]),
            "y": text(&point.as_bytes()[33..]),
        })
    }

    pub(crate) fn set(&self) -> Vec<u8> {
        json!({"keys": [self.jwk()]}).to_string().into_bytes()
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": "ES256", "kid": self.kid})
    }

    /// Signs what may be no JSON.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let input = format!("{}.{}", text(header.as_bytes()), text(payload.as_bytes()));
        let signature: Signature = self.key.sign(input.as_bytes());
        format!("{input}.{}", text(&signature.to_bytes()))
    }
}
