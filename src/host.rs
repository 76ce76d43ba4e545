//! What the core may ask of its host while it decides. Everything slow or visible is not asked but
//! returned: calls, replies, header edits and log events are values.

#[cfg(not(target_family = "wasm"))]
mod signatures;

#[cfg(not(target_family = "wasm"))]
pub use signatures::NativeSignatures;

use std::fmt;

use crate::time::UnixTime;

/// The host could not give random bytes. Nothing can be sealed then, and nobody signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected random bytes from the host, but got none")
    }
}

impl std::error::Error for NoRandomness {}

/// A cryptographically secure source of random bytes.
pub trait Random: fmt::Debug {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`NoRandomness`] if the host has none; `bytes` must not be used then.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness>;
}

/// The version of a shared value, for compare-and-swap.
pub type Version = u32;

/// Data that all workers of one Envoy share. It survives a reload of the VM, but not of Envoy.
pub trait SharedData: fmt::Debug {
    /// The value under `key` and its version; `None` if it was never set.
    fn read(&self, key: &str) -> Option<(Vec<u8>, Version)>;

    /// Sets `key` if its version is still `expected`, or if it is absent. `None` writes without a
    /// check. So a version that no key has creates a key, once.
    ///
    /// Returns whether the value was written.
    fn write(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> bool;
}

/// The host could not verify a signature at all, which says nothing about the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotVerify;

impl fmt::Display for CannotVerify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a host that verifies signatures, but found none")
    }
}

impl std::error::Error for CannotVerify {}

/// How a signature was made: RSASSA-PKCS1-v1_5, or ECDSA on the curve of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    EcdsaP256Sha256,
    /// ECDSA with P-384 and SHA-384.
    EcdsaP384Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaSha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaSha512,
}

/// Verifies signatures of RSA and EC keys, which the module has no code for.
pub trait Signatures: fmt::Debug {
    /// Whether `signature` is that of `message` by `key`: a DER SubjectPublicKeyInfo (RFC 5280
    /// section 4.1) of the algorithm's kind. The signature of ECDSA is an `Ecdsa-Sig-Value` in DER
    /// (RFC 3279 section 2.2.3). A key that is none verifies nothing.
    ///
    /// # Errors
    /// [`CannotVerify`] if the host has no such function, or does not answer as it should.
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CannotVerify>;
}

/// One event's view of the world.
#[derive(Debug)]
pub struct Host<'a> {
    /// The time of the event.
    pub now: UnixTime,
    /// Randomness, which may fail.
    pub random: &'a mut dyn Random,
    /// Data shared by all workers.
    pub shared: &'a mut dyn SharedData,
    /// Signatures of RSA and EC keys.
    pub signatures: &'a dyn Signatures,
}
