//! Keys and signatures as the host takes them: DER (X.690) of the few structures that it needs.

/// `SEQUENCE`.
const SEQUENCE: u8 = 0x30;

/// `INTEGER`.
const INTEGER: u8 = 0x02;

/// `BIT STRING`.
const BIT_STRING: u8 = 0x03;

/// The `AlgorithmIdentifier` of `rsaEncryption` with its NULL (RFC 8017 appendix A.1).
const RSA: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// The `AlgorithmIdentifier` of `id-ecPublicKey` with `secp256r1` (RFC 5480 section 2.1).
pub(super) const P256: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];

/// The same with `secp384r1`.
pub(super) const P384: [u8; 18] = [
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x22,
];

/// The SubjectPublicKeyInfo of an RSA key, from its big-endian numbers.
pub(super) fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = element(SEQUENCE, &[&integer(modulus), &integer(exponent)]);
    element(SEQUENCE, &[&RSA, &element(BIT_STRING, &[&[0], &key])])
}

/// The SubjectPublicKeyInfo of a point on a curve, uncompressed (RFC 5480 section 2.2).
pub(super) fn ec_key(curve: &[u8], x: &[u8], y: &[u8]) -> Vec<u8> {
    // No bit of the string is unused, and the point is of the form 4.
    let point = element(BIT_STRING, &[&[0, 4], x, y]);
    element(SEQUENCE, &[curve, &point])
}

/// The `Ecdsa-Sig-Value` for R and S as JOSE writes them (RFC 7518 section 3.4): side by side, in the
/// curve's full size each. `None` in any other form, and for a zero, which no signer gives
/// (CVE-2022-21449).
pub(super) fn ecdsa_signature(jose: &[u8], size: usize) -> Option<Vec<u8>> {
    let (r, s) = jose.split_at_checked(size)?;
    let is_zero = |number: &[u8]| number.iter().all(|byte| *byte == 0);
    if s.len() != size || is_zero(r) || is_zero(s) {
        return None;
    }
    Some(element(SEQUENCE, &[&integer(r), &integer(s)]))
}

/// A number without the zeros before it.
pub(super) fn trimmed(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0);
    number
        .get(first.unwrap_or(number.len())..)
        .unwrap_or_default()
}

fn integer(number: &[u8]) -> Vec<u8> {
    let number = trimmed(number);
    // Without a zero before it, it would be negative.
    let is_high = number.first().is_none_or(|byte| *byte >= 0x80);
    let sign: &[u8] = if is_high { &[0] } else { &[] };
    element(INTEGER, &[sign, number])
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [.., high, low] = content.len().to_be_bytes();
    let mut bytes = vec![tag];
    match (high, low) {
        (0, ..0x80) => bytes.push(low),
        (0, _) => bytes.extend([0x81, low]),
        (..) => bytes.extend([0x82, high, low]),
    }
    bytes.extend(content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_three_forms() {
        assert_eq!(element(4, &[&[7; 2]]), [4, 2, 7, 7]);
        assert_eq!(element(4, &[&[0; 0x7f]])[..2], [4, 0x7f]);
        assert_eq!(element(4, &[&[0; 0x80]])[..3], [4, 0x81, 0x80]);
        assert_eq!(element(4, &[&[0; 0x100]])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn numbers_are_positive_and_short() {
        assert_eq!(integer(&[0, 0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0]), [2, 1, 0]);
    }

    #[test]
    fn a_signature_has_two_numbers_of_full_size_and_no_zero() {
        let signature = ecdsa_signature(&[1, 2, 0x83, 4], 2).unwrap();
        assert_eq!(signature, [0x30, 9, 2, 2, 1, 2, 2, 3, 0, 0x83, 4]);
        for bytes in [
            &[1, 2, 3][..],
            &[1, 2, 3, 4, 5],
            &[0, 0, 3, 4],
            &[1, 2, 0, 0],
            &[],
        ] {
            assert_eq!(ecdsa_signature(bytes, 2), None, "{bytes:?}");
        }
    }
}
