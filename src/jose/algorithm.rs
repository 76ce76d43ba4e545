//! The algorithms by their names in JOSE (RFC 7518 section 3.1). All are asymmetric: with a shared key
//! whoever verifies could sign as well.
//!
//! RSASSA-PSS, EdDSA and P-521 are not among them, since Envoy's function or the native build does
//! not verify them.

use crate::host::SignatureAlgorithm;

const NAMES: [(&str, SignatureAlgorithm); 5] = [
    ("ES256", SignatureAlgorithm::EcdsaP256Sha256),
    ("ES384", SignatureAlgorithm::EcdsaP384Sha384),
    ("RS256", SignatureAlgorithm::RsaSha256),
    ("RS384", SignatureAlgorithm::RsaSha384),
    ("RS512", SignatureAlgorithm::RsaSha512),
];

impl SignatureAlgorithm {
    /// All names and what they stand for.
    #[must_use]
    pub fn names() -> &'static [(&'static str, Self)] {
        &NAMES
    }

    /// The algorithm that a token or a key calls `name`, in exactly this case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, algorithm)| *algorithm)
    }
}
