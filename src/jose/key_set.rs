//! An issuer's public keys: a JWK Set (RFC 7517 section 5). What is in it beyond our use is skipped, as
//! that section asks; a set without any key of use is refused.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::host::{CannotVerify, SignatureAlgorithm, Signatures};
use crate::jose::der;
use crate::jose::{InvalidToken, Jws};
use crate::json::Json;

/// The most bytes of a set.
const MAX_BYTES: usize = 65_536;

/// The most keys of a set, those that are skipped included.
const MAX_KEYS: usize = 32;

/// The most keys that a token without a key's name is tried with: each costs some 40 µs.
const MAX_TRIES: usize = 4;

/// The members of private keys (RFC 7518 sections 6.2.2 and 6.3.2). What is published with them is no
/// secret of its issuer any more.
const PRIVATE: [&str; 2] = ["d", "p"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Rsa,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    kind: Kind,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<SignatureAlgorithm>,
    /// SubjectPublicKeyInfo.
    der: Vec<u8>,
    /// Whether another key has its name for the same use.
    is_confused: bool,
}

/// The keys of an issuer that can be used. Without any nothing is verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

/// Why a document is no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidKeySet {
    /// Not an object with `keys`, or one that repeats a member.
    Malformed,
    /// No key in it can be used.
    NoKey,
    /// Too many keys, or bytes.
    TooLarge,
}

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The host cannot verify: nothing is known about the token.
    CannotVerify,
    /// The token is not accepted.
    Invalid(InvalidToken),
}

impl From<CannotVerify> for Unverified {
    fn from(_: CannotVerify) -> Self {
        Self::CannotVerify
    }
}

impl KeySet {
    /// Reads a set.
    ///
    /// # Errors
    /// [`InvalidKeySet`].
    pub fn parse(document: &[u8]) -> Result<Self, InvalidKeySet> {
        if document.len() > MAX_BYTES {
            return Err(InvalidKeySet::TooLarge);
        }
        let document = Json::parse_strict(document).ok_or(InvalidKeySet::Malformed)?;
        let keys = document.member("keys").and_then(Json::as_array);
        Self::read(keys.ok_or(InvalidKeySet::Malformed)?)
    }

    /// Reads the items of `keys`.
    ///
    /// # Errors
    /// [`InvalidKeySet::NoKey`] and [`InvalidKeySet::TooLarge`].
    pub fn read(keys: &[Json]) -> Result<Self, InvalidKeySet> {
        if keys.len() > MAX_KEYS {
            return Err(InvalidKeySet::TooLarge);
        }
        let mut set = Self::default();
        for mut key in keys.iter().filter_map(Key::read) {
            for other in &mut set.0 {
                if key.is_confused_with(other) {
                    (key.is_confused, other.is_confused) = (true, true);
                }
            }
            set.0.push(key);
        }
        match set.len() {
            0 => Err(InvalidKeySet::NoKey),
            _ => Ok(set),
        }
    }

    /// How many keys there are.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a set that was read has one at least"
    )]
    pub fn len(&self) -> usize {
        self.0.iter().filter(|key| !key.is_confused).count()
    }

    /// Whether one of the keys made the signature, with one of the algorithms of `accepted`.
    ///
    /// # Errors
    /// [`InvalidToken::Algorithm`], [`InvalidToken::UnknownKey`] or [`InvalidToken::BadSignature`] in
    /// [`Unverified`].
    pub fn verify(
        &self,
        jws: &Jws<'_>,
        accepted: &[SignatureAlgorithm],
        signatures: &dyn Signatures,
    ) -> Result<(), Unverified> {
        let (algorithm, message) = (jws.algorithm, jws.signing_input.as_bytes());
        let invalid = |why| Err(Unverified::Invalid(why));
        if !accepted.contains(&algorithm) {
            return invalid(InvalidToken::Algorithm);
        }
        let mut candidates = self.0.iter().filter(|key| key.may_be(jws)).peekable();
        if candidates.peek().is_none() {
            return invalid(InvalidToken::UnknownKey);
        }
        let converted = match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => der::ecdsa_signature(&jws.signature, 32),
            SignatureAlgorithm::EcdsaP384Sha384 => der::ecdsa_signature(&jws.signature, 48),
            SignatureAlgorithm::RsaSha256
            | SignatureAlgorithm::RsaSha384
            | SignatureAlgorithm::RsaSha512 => Some(jws.signature.clone()),
        };
        let Some(signature) = converted else {
            return invalid(InvalidToken::BadSignature);
        };
        for key in candidates.take(MAX_TRIES) {
            if signatures.verify(algorithm, &key.der, message, &signature)? {
                return Ok(());
            }
        }
        invalid(InvalidToken::BadSignature)
    }
}

impl Key {
    /// A key that verifies signatures; `None` for any other.
    fn read(json: &Json) -> Option<Self> {
        let optional_text = |name| match json.member(name) {
            None => Some(None),
            Some(Json::String(text)) => Some(Some(text.as_str())),
            Some(_) => None,
        };
        let id = optional_text("kid")?.map(str::to_owned);
        if optional_text("use")?.is_some_and(|usage| usage != "sig") || !may_verify(json) {
            return None;
        }
        if PRIVATE.iter().any(|name| json.member(name).is_some()) {
            return None;
        }
        let algorithm = match optional_text("alg")? {
            None => None,
            Some(name) => Some(SignatureAlgorithm::named(name)?),
        };
        let text = |name| json.member(name).and_then(Json::as_str);
        let (kind, der) = match text("kty")? {
            "RSA" => (Kind::Rsa, rsa_key(json)?),
            "EC" => match text("crv")? {
                "P-256" => (Kind::P256, ec_key(json, &der::P256, 32)?),
                "P-384" => (Kind::P384, ec_key(json, &der::P384, 48)?),
                _ => return None,
            },
            // A shared key (`oct`) above all: whoever can read it can sign.
            _ => return None,
        };
        let fits = algorithm.is_none_or(|algorithm| kind.serves(algorithm));
        fits.then_some(Self {
            id,
            kind,
            algorithm,
            der,
            is_confused: false,
        })
    }

    /// Whether two keys have one name for one use. RFC 7517 section 4.5 asks for different names, and
    /// allows one for equivalent keys of different types; of others neither is named.
    fn is_confused_with(&self, other: &Self) -> bool {
        let is_alternative = self.kind != other.kind
            || self
                .algorithm
                .zip(other.algorithm)
                .is_some_and(|(one, other)| one != other);
        self.id.is_some() && self.id == other.id && self.der != other.der && !is_alternative
    }

    /// Whether the token may be signed by it. A token that names a key means that one.
    fn may_be(&self, jws: &Jws<'_>) -> bool {
        !self.is_confused
            && self.kind.serves(jws.algorithm)
            && self
                .algorithm
                .is_none_or(|algorithm| algorithm == jws.algorithm)
            && (jws.key_id.is_none() || jws.key_id == self.id)
    }
}

impl Kind {
    fn serves(self, algorithm: SignatureAlgorithm) -> bool {
        self == match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => Self::P256,
            SignatureAlgorithm::EcdsaP384Sha384 => Self::P384,
            SignatureAlgorithm::RsaSha256
            | SignatureAlgorithm::RsaSha384
            | SignatureAlgorithm::RsaSha512 => Self::Rsa,
        }
    }
}

/// `key_ops` (RFC 7517 section 4.3), where it is there.
fn may_verify(json: &Json) -> bool {
    json.member("key_ops").is_none_or(|operations| {
        let operations = operations.as_array().unwrap_or_default();
        operations.iter().any(|it| it.as_str() == Some("verify"))
    })
}

fn number(json: &Json, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(json.member(name)?.as_str()?).ok()
}

/// 2,048 to 4,096 bits and the exponent 65,537: what every issuer has, and what `jwt-simple` takes.
/// A small exponent forgives a verifier nothing, and a large key costs every request.
fn rsa_key(json: &Json) -> Option<Vec<u8>> {
    let (modulus, exponent) = (number(json, "n")?, number(json, "e")?);
    let (modulus, exponent) = (der::trimmed(&modulus), der::trimmed(&exponent));
    let is_odd = modulus.last().is_some_and(|byte| byte & 1 == 1);
    let has_size = match modulus.len() {
        256 => modulus.first().is_some_and(|byte| *byte >= 0x80),
        257..=512 => true,
        _ => false,
    };
    let fits = is_odd && has_size && exponent == [1, 0, 1] && !is_weak(modulus);
    fits.then(|| der::rsa_key(modulus, exponent))
}

/// The fingerprint of keys that a broken library made, and whose factors can be found
/// (CVE-2017-15361, "ROCA"): modulo each of these primes, the modulus is a power of 65,537. Of other
/// keys one in 2^27 has it.
fn is_weak(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ];
    PRIMES.iter().all(|prime| {
        let rest = |number: u32| number.checked_rem(*prime).unwrap_or(0);
        let digits = modulus.iter().map(|byte| u32::from(*byte));
        let wanted = digits.fold(0, |sum, digit| rest((sum << 8_u32) | digit));
        let step = rest(65_537);
        let mut power: u32 = 1;
        (0..*prime).any(|_| {
            power = rest(power.wrapping_mul(step));
            power == wanted
        })
    })
}

/// Coordinates in the curve's full size (RFC 7518 section 6.2.1.2). That the point is on the curve is
/// for the host to see.
fn ec_key(json: &Json, curve: &[u8], size: usize) -> Option<Vec<u8>> {
    let (x, y) = (number(json, "x")?, number(json, "y")?);
    let fits = x.len() == size && y.len() == size;
    fits.then(|| der::ec_key(curve, &x, &y))
}

impl fmt::Display for InvalidKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "expected a set of keys, but found another document",
            Self::NoKey => "expected a key for signatures, but found none",
            Self::TooLarge => "expected at most 32 keys in 64 KB, but found more",
        })
    }
}

impl std::error::Error for InvalidKeySet {}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::host::NativeSignatures;
    use crate::jose::Signer;

    const ES256: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;

    fn parse(keys: &[Value]) -> Result<KeySet, InvalidKeySet> {
        KeySet::parse(json!({"keys": keys}).to_string().as_bytes())
    }

    fn verify(keys: &[Value], token: &str) -> Result<(), Unverified> {
        let jws = Jws::parse(token).unwrap();
        let accepted = [ES256, SignatureAlgorithm::RsaSha256];
        parse(keys)
            .unwrap()
            .verify(&jws, &accepted, &NativeSignatures)
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn the_key_that_a_token_names_verifies_it() {
        let (a, b) = (Signer::new("a", 1), Signer::new("b", 2));
        let keys = [a.jwk(), b.jwk()];
        let claims = json!({});
        assert_eq!(verify(&keys, &a.token(&claims)), Ok(()));
        assert_eq!(verify(&keys, &b.token(&claims)), Ok(()));
        let invalid = |why| Err(Unverified::Invalid(why));
        // With the other key's name.
        let crossed = b.sign(&a.header().to_string(), "{}");
        assert_eq!(verify(&keys, &crossed), invalid(InvalidToken::BadSignature));
        let unknown = Signer::new("c", 1).token(&claims);
        assert_eq!(verify(&keys, &unknown), invalid(InvalidToken::UnknownKey));
        // Without a name each of them is tried.
        let unnamed = b.sign(r#"{"alg":"ES256"}"#, "{}");
        assert_eq!(verify(&keys, &unnamed), Ok(()));
        let stranger = Signer::new("", 3).sign(r#"{"alg":"ES256"}"#, "{}");
        assert_eq!(
            verify(&keys, &stranger),
            invalid(InvalidToken::BadSignature)
        );
        // An algorithm that the issuer does not use, and one that no key is for.
        let other = a.sign(r#"{"alg":"ES384","kid":"a"}"#, "{}");
        assert_eq!(verify(&keys, &other), invalid(InvalidToken::Algorithm));
        let other = a.sign(r#"{"alg":"RS256","kid":"a"}"#, "{}");
        assert_eq!(verify(&keys, &other), invalid(InvalidToken::UnknownKey));
        // A key without a name is not the one that is named.
        let mut nameless = a.jwk();
        nameless.as_object_mut().unwrap().remove("kid");
        let verdict = verify(&[nameless], &a.token(&claims));
        assert_eq!(verdict, invalid(InvalidToken::UnknownKey));
    }

    #[test]
    fn keys_of_no_use_are_skipped() {
        let good = Signer::new("a", 1).jwk();
        let other = Signer::new("b", 2).jwk();
        let read = |key: Value| parse(&[key, other.clone()]).unwrap().len() == 2;
        assert!(read(good.clone()));
        for (name, value) in [
            ("use", json!("sig")),
            ("key_ops", json!(["verify"])),
            ("key_ops", json!(["sign", "verify"])),
            ("alg", json!("ES256")),
            ("x5c", json!(["no certificate"])),
        ] {
            assert!(
                read(with(good.clone(), name, value.clone())),
                "{name}: {value}"
            );
        }
        for (name, value) in [
            ("use", json!("enc")),
            ("use", json!("SIG")),
            ("use", json!(["sig"])),
            ("key_ops", json!([])),
            ("key_ops", json!("verify")),
            ("key_ops", json!(["sign"])),
            ("alg", json!("ES384")),
            ("alg", json!("RS256")),
            ("alg", json!("none")),
            ("alg", json!(7)),
            ("kid", json!(7)),
            ("kty", json!("oct")),
            ("kty", json!("ec")),
            ("crv", json!("P-384")),
            ("crv", json!("secp256k1")),
            ("d", json!("AQ")),
            ("x", json!("AQ")),
            ("x", json!(format!("{}=", good["x"].as_str().unwrap()))),
            ("y", json!(null)),
        ] {
            assert!(
                !read(with(good.clone(), name, value.clone())),
                "{name}: {value}"
            );
        }
        assert!(!read(
            json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"})
        ));
        assert!(!read(json!({"kty": "OKP", "crv": "Ed25519", "x": "AQ"})));
        assert!(!read(json!(7)) && !read(json!({})));
    }

    #[test]
    fn rsa_keys_have_a_usual_size() {
        let other = Signer::new("b", 2).jwk();
        let read = |bytes: &[u8], exponent: &str| {
            let key = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(bytes), "e": exponent});
            parse(&[key, other.clone()]).unwrap().len() == 2
        };
        let modulus = |bytes: usize| [&[0xc5][..], &vec![0x35; bytes - 1]].concat();
        assert!(read(&modulus(256), "AQAB") && read(&modulus(512), "AQAB"));
        // Zeros before it are no part of it.
        assert!(read(&[&[0], modulus(256).as_slice()].concat(), "AQAB"));
        assert!(!read(&modulus(255), "AQAB") && !read(&modulus(513), "AQAB"));
        assert!(!read(&[&[0x7f], &modulus(256)[1..]].concat(), "AQAB"));
        assert!(
            !read(&[&modulus(256)[..255], &[0x36]].concat(), "AQAB"),
            "even"
        );
        assert!(!read(&[], "AQAB"));
        for exponent in ["AQ", "Aw", "", "AQABAA", "AQAD"] {
            assert!(!read(&modulus(256), exponent), "{exponent}");
        }
    }

    #[test]
    fn one_name_for_two_keys_names_neither() {
        let (a, twin, b) = (
            Signer::new("a", 1),
            Signer::new("a", 2),
            Signer::new("b", 3),
        );
        let keys = parse(&[a.jwk(), twin.jwk(), b.jwk()]).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(parse(&[a.jwk(), twin.jwk()]), Err(InvalidKeySet::NoKey));
        // The same key twice, or another one for another use, leaves no doubt.
        assert_eq!(parse(&[a.jwk(), a.jwk()]).unwrap().len(), 2);
        let encrypts = with(twin.jwk(), "use", json!("enc"));
        assert_eq!(parse(&[a.jwk(), encrypts]).unwrap().len(), 1);
    }

    #[test]
    fn documents_of_another_form_are_refused() {
        use InvalidKeySet::{Malformed, NoKey, TooLarge};
        let key = Signer::new("a", 1).jwk();
        for (text, why) in [
            (String::new(), Malformed),
            ("[]".to_owned(), Malformed),
            ("{}".to_owned(), Malformed),
            (r#"{"keys":{}}"#.to_owned(), Malformed),
            (format!(r#"{{"keys":[],"keys":[{key}]}}"#), Malformed),
            (
                r#"{"keys":[{"kty":"EC","kty":"RSA"}]}"#.to_owned(),
                Malformed,
            ),
            (r#"{"keys":[]}"#.to_owned(), NoKey),
            (json!({"keys": vec![key.clone(); 33]}).to_string(), TooLarge),
            (
                json!({"keys": [key], "x": "x".repeat(MAX_BYTES)}).to_string(),
                TooLarge,
            ),
        ] {
            assert_eq!(KeySet::parse(text.as_bytes()), Err(why), "{text:.100}");
        }
    }
}
