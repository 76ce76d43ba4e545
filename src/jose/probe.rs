//! Whether a host verifies signatures: asked once, at start.

use crate::host::{SignatureAlgorithm, Signatures};
use crate::jose::{InvalidToken, Jws, KeySet, Unverified};

/// The example of RFC 7515 appendix A.3.
const KEYS: &[u8] = br#"{"keys":[{"kty":"EC","crv":"P-256",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const GOOD: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly\
9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISl\
SApmWQxfKTUJqPP3-Kg6NU1Q";

/// Whether the host knows a good signature, and tells it from a bad one: one that accepts all would
/// let everybody in.
#[must_use]
pub fn can_verify(signatures: &dyn Signatures) -> bool {
    let Ok(keys) = KeySet::parse(KEYS) else {
        return false;
    };
    let verdict = |token: &str| {
        let jws = Jws::parse(token).map_err(Unverified::Invalid)?;
        keys.verify(&jws, &[SignatureAlgorithm::EcdsaP256Sha256], signatures)
    };
    let bad = GOOD.replace(".eyJpc3", ".eyJpc4");
    verdict(GOOD) == Ok(()) && verdict(&bad) == Err(Unverified::Invalid(InvalidToken::BadSignature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{CannotVerify, NativeSignatures};

    /// A host that says the same to everything.
    #[derive(Debug)]
    struct Always(Result<bool, CannotVerify>);

    impl Signatures for Always {
        fn verify(
            &self,
            _: SignatureAlgorithm,
            _: &[u8],
            _: &[u8],
            _: &[u8],
        ) -> Result<bool, CannotVerify> {
            self.0
        }
    }

    #[test]
    fn only_a_host_that_tells_good_from_bad_is_one() {
        assert!(can_verify(&NativeSignatures));
        for answer in [Ok(true), Ok(false), Err(CannotVerify)] {
            assert!(!can_verify(&Always(answer)), "{answer:?}");
        }
    }
}
