//! Requests: targets, fields, cookies.

use bitgate::http::{Cookies, HeaderValue, Headers, Request, RequestTarget};
use bitgate::session::{COOKIE_PREFIX, is_our_cookie};

use crate::setup::{field, is_one_line};

/// The input is a request target. One that passes means one thing to every
/// server, or says that it does not.
pub(crate) fn request_target(bytes: &[u8]) {
    let target = match RequestTarget::parse(bytes) {
        Ok(target) => target,
        Err(error) => return assert!(is_one_line(&error.to_string())),
    };
    assert_eq!(
        target.as_str().as_bytes(),
        bytes,
        "it is passed on as received"
    );
    assert!(HeaderValue::try_from(target.as_str()).is_ok());
    let path = target.path();
    assert!(path.starts_with('/') && !path.contains("//"), "{path}");
    assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")));
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path}");
    assert!(!path.contains(['\\', '?', '#']), "{path}");
    let again = RequestTarget::parse(path.as_bytes()).expect("a normal path is a path");
    assert_eq!(again.path(), path, "normalising twice changes nothing");
    // A server that decodes first and splits then sees the same segments.
    let raw = target.as_str().split('?').next().unwrap_or_default();
    let decoded = decoded(raw.as_bytes());
    assert!(std::str::from_utf8(&decoded).is_ok());
    assert!(!decoded.iter().any(u8::is_ascii_control), "{path}");
    let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
    // A path with two readings says so, and nothing but a rule written for it lets it through.
    let has_two = count(&decoded) != count(path.as_bytes()) || decoded.contains(&b';');
    assert_eq!(target.ambiguity().is_some(), has_two, "{path}");
    assert!(
        !decoded
            .split(|byte| matches!(byte, b'/' | b'\\'))
            .any(|segment| matches!(segment, b"." | b".."))
    );
    let query = bytes.iter().position(|byte| *byte == b'?');
    let query = query.map(|at| &bytes[at + 1..]);
    assert_eq!(target.query().map(str::as_bytes), query);
}

/// Decodes once, in our own words; what is no encoding stays.
pub(crate) fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let hex = hex.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let octet = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(octet.unwrap_or(*byte));
        at += if octet.is_some() { 3 } else { 1 };
    }
    bytes
}

/// What [`Request::read`] makes of fields; a refusal has a message of one line.
pub(crate) fn read(fields: Vec<(String, Vec<u8>)>) -> Option<Request> {
    match Request::read(fields) {
        Ok(request) => Some(request),
        Err(error) => {
            assert!(is_one_line(&error.malformed.to_string()));
            None
        }
    }
}

/// The input is a line `name: value` per field. A request that passes has each pseudo-header once,
/// and all fields in their order.
pub(crate) fn request(bytes: &[u8]) {
    let fields: Vec<_> = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(field)
        .collect();
    let Some(request) = read(fields.clone()) else {
        return;
    };
    let all = |name: &str| -> Vec<&[u8]> {
        let found = fields.iter().filter(|(key, _)| key == name);
        found.map(|(_, value)| value.as_slice()).collect()
    };
    assert_eq!(all(":method"), [request.method.as_bytes()]);
    assert_eq!(all(":path"), [request.target.as_str().as_bytes()]);
    let [authority] = all(":authority")[..] else {
        panic!("one authority");
    };
    assert_eq!(authority.to_ascii_lowercase(), request.authority.as_bytes());
    let is_host = |byte: u8| byte.is_ascii_graphic() && !b"@/\\?#,;%\"<>".contains(&byte);
    assert!(
        request.authority.bytes().all(is_host),
        "{}",
        request.authority
    );
    let is_method = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
    assert!(request.method.bytes().all(is_method), "{}", request.method);
    let all_fields = fields.iter();
    assert!(
        all_fields
            .map(|(name, value)| (name.as_bytes(), value.as_slice()))
            .eq(request.headers.iter())
    );
    for (name, _) in request.headers.iter() {
        let name = std::str::from_utf8(name).expect("ASCII");
        let values = all(name);
        let expected = match values[..] {
            [value] if value.is_ascii() => std::str::from_utf8(value).ok(),
            _ => None,
        };
        assert_eq!(request.headers.single(name), expected, "{name}");
    }
}

/// The pairs between the semicolons, in our own words.
pub(crate) fn pieces(fields: &[&[u8]]) -> Vec<Vec<u8>> {
    let pieces = fields
        .iter()
        .flat_map(|field| field.split(|byte| *byte == b';'));
    let pieces = pieces.map(|piece| piece.trim_ascii().to_vec());
    pieces.filter(|piece| !piece.is_empty()).collect()
}

/// Whether a pair is one of our cookies in any case.
pub(crate) fn is_ours(piece: &[u8]) -> bool {
    let piece = piece.to_ascii_lowercase();
    piece.starts_with(b"__host-bitgate") || piece.starts_with(b"__secure-bitgate")
}

/// The input is a `Cookie` field per line. No cookie of ours is left in any case, and everything
/// else is there byte by byte, in order.
pub(crate) fn cookies(bytes: &[u8]) {
    let fields: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let header = |value: &[u8]| ("cookie".to_owned(), value.to_vec());
    let headers = Headers::new(fields.iter().map(|field| header(field)).collect());
    let cookies = Cookies::read(&headers);
    let (ours, others): (Vec<_>, Vec<_>) = pieces(&fields).into_iter().partition(|p| is_ours(p));
    match cookies.without(is_our_cookie) {
        None => assert!(ours.is_empty()),
        Some(rest) => {
            assert!(!ours.is_empty());
            assert_eq!(pieces(&[&rest]), others);
            let again = Headers::new(vec![header(&rest)]);
            assert_eq!(Cookies::read(&again).without(is_our_cookie), None);
        }
    }
    for name in cookies.names_with_prefix(COOKIE_PREFIX) {
        assert!(cookies.contains(name));
        let values = ours.iter().filter_map(|piece| {
            let mut parts = piece.splitn(2, |byte| *byte == b'=');
            (parts.next() == Some(name.as_bytes())).then(|| parts.next().unwrap_or_default())
        });
        let values: Vec<&[u8]> = values.collect();
        let agree = values.windows(2).all(|two| two[0] == two[1]);
        let expected = values.first().filter(|_| agree);
        let expected = expected.and_then(|value| std::str::from_utf8(value).ok());
        assert_eq!(cookies.single(name), expected, "two that differ are none");
    }
}
