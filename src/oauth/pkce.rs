//! Proof Key for Code Exchange, method S256 (RFC 7636 sections 4.1 and 4.2).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::host::{NoRandomness, Random};
use crate::oauth::random_text;
use crate::secret::secret_type;

secret_type! {
    /// The secret that the token request must present for the code.
    CodeVerifier
}

impl CodeVerifier {
    /// A fresh verifier of 256 random bits: 43 characters, as RFC 7636 section 4.1 recommends.
    ///
    /// # Errors
    /// [`NoRandomness`] of the host.
    pub fn generate(random: &mut dyn Random) -> Result<Self, NoRandomness> {
        Ok(Self::new(random_text::<32>(random)?))
    }

    /// The code challenge: `BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))`.
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(hmac_sha256::Hash::hash(self.expose().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_appendix_b() {
        let verifier = CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(
            verifier.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
