//! Signatures outside of Envoy: with the keys of `jwt-simple`, and the libraries that it verifies with.
//! Its own verification reads claims as well, and would judge more than the signature.

use jwt_simple::algorithms::{
    ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, ES256PublicKey, ES384PublicKey, RS256PublicKey,
    RSAPublicKeyLike,
};
use p256::ecdsa::signature::Verifier as _;
use superboring::hash::MessageDigest;
use superboring::pkey::PKey;
use superboring::rsa::Padding;
use superboring::sign::Verifier;

use crate::host::{CannotVerify, SignatureAlgorithm, Signatures};

/// Verifies without a host.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeSignatures;

impl Signatures for NativeSignatures {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CannotVerify> {
        let is_good = match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => p256(key, message, signature),
            SignatureAlgorithm::EcdsaP384Sha384 => p384(key, message, signature),
            SignatureAlgorithm::RsaSha256 => rsa(MessageDigest::sha256(), key, message, signature),
            SignatureAlgorithm::RsaSha384 => rsa(MessageDigest::sha384(), key, message, signature),
            SignatureAlgorithm::RsaSha512 => rsa(MessageDigest::sha512(), key, message, signature),
        };
        Ok(is_good.unwrap_or(false))
    }
}

fn p256(key: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
    let key = ES256PublicKey::from_der(key).ok()?;
    let signature = p256::ecdsa::Signature::from_der(signature).ok()?;
    let key = key.public_key().as_ref();
    Some(key.verify(message, &signature).is_ok())
}

fn p384(key: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
    let key = ES384PublicKey::from_der(key).ok()?;
    let signature = p384::ecdsa::Signature::from_der(signature).ok()?;
    let key = key.public_key().as_ref();
    Some(key.verify(message, &signature).is_ok())
}

/// The hash is none of the key's business: the same type reads all of them.
fn rsa(hash: MessageDigest, key: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
    let key = RS256PublicKey::from_der(key).ok()?;
    let key = PKey::from_rsa(key.public_key().as_ref().clone()).ok()?;
    let mut verifier = Verifier::new(hash, &key).ok()?;
    verifier.set_rsa_padding(Padding::PKCS1).ok()?;
    verifier.update(message).ok()?;
    verifier.verify(signature).ok()
}
