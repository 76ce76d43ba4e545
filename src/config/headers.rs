//! The section `identity_headers`: what the upstream may trust.

use std::borrow::Cow;

use crate::config::reader::{Node, Reader, quoted};

/// Something that is known about who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The provider's stable id of the account.
    AccountId,
    /// The primary and confirmed e-mail address.
    Email,
    /// The groups, separated by commas.
    Groups,
    /// What they call themselves.
    Nickname,
    /// `person`, `pipeline` or `bot`.
    Principal,
    /// The id of the request, as in our log lines and pages.
    RequestId,
}

const FACTS: [(&str, Fact); 6] = [
    ("account_id", Fact::AccountId),
    ("email", Fact::Email),
    ("groups", Fact::Groups),
    ("nickname", Fact::Nickname),
    ("principal", Fact::Principal),
    ("request_id", Fact::RequestId),
];

const DEFAULTS: [(&str, Fact); 5] = [
    ("x-forwarded-user", Fact::AccountId),
    ("x-forwarded-email", Fact::Email),
    ("x-forwarded-groups", Fact::Groups),
    ("x-bitgate-principal", Fact::Principal),
    ("x-bitgate-request-id", Fact::RequestId),
];

/// Headers with a meaning of their own: to routing, to Envoy, or to the credential.
const RESERVED: [&str; 36] = [
    "accept",
    "authorization",
    "baggage",
    "cache-control",
    "connection",
    "date",
    "early-data",
    "git-protocol",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "priority",
    "purpose",
    "range",
    "referer",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-bitgate-identity-token",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-http-method-override",
    "x-real-ip",
    "x-request-id",
];

const RESERVED_PREFIXES: [&str; 11] = [
    "accept-",
    "access-control-",
    "content-",
    "grpc-",
    "if-",
    "proxy-",
    "sec-",
    "x-envoy-",
    "x-forwarded-client-",
    "x-original-",
    "x-rewrite-",
];

/// Header names and what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    headers: Vec<(Cow<'static, str>, Fact)>,
    /// A bit for each length that a name of ours has: few headers of a request have one of them.
    lengths: u64,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        let headers = DEFAULTS.map(|(name, fact)| (name.into(), fact));
        Self::new(headers.to_vec())
    }
}

impl IdentityHeaders {
    fn new(headers: Vec<(Cow<'static, str>, Fact)>) -> Self {
        let ours = headers.iter().map(|(ours, _)| ours.len());
        let ours = ours.chain(DEFAULTS.map(|(ours, _)| ours.len()));
        let lengths = ours.fold(0, |bits, length| bits | length_bit(length));
        Self { headers, lengths }
    }

    /// The headers to set.
    pub fn iter(&self) -> impl Iterator<Item = (&Cow<'static, str>, Fact)> {
        self.headers.iter().map(|(name, fact)| (name, *fact))
    }

    /// Whether a client's header of this name is taken away: one of ours in any spelling that an
    /// upstream may read as ours. Several servers turn `_` and `.` into `-` or the other way. The
    /// default names count even where others are configured, and so does all of `x-bitgate-`.
    #[must_use]
    pub fn manages(&self, name: &[u8]) -> bool {
        let may_have_prefix = matches!(name.first(), Some(b'x' | b'X'));
        (may_have_prefix && has_spelled_prefix(name, b"x-bitgate-")) || self.is_one_of_ours(name)
    }

    fn is_one_of_ours(&self, name: &[u8]) -> bool {
        if self.lengths & length_bit(name.len()) == 0 {
            return false;
        }
        let ours = self.headers.iter().map(|(ours, _)| &**ours);
        let mut ours = ours.chain(DEFAULTS.iter().map(|(ours, _)| *ours));
        ours.any(|ours| same_spelling(ours.as_bytes(), name))
    }
}

/// The last bit stands for all lengths from 63 on.
fn length_bit(length: usize) -> u64 {
    let length = u32::try_from(length.min(63)).unwrap_or(63);
    1_u64.rotate_left(length)
}

fn folded(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' => b'-',
        byte => byte.to_ascii_lowercase(),
    }
}

/// From the end, since most names begin alike.
fn same_spelling(a: &[u8], b: &[u8]) -> bool {
    let mut pairs = a.iter().rev().zip(b.iter().rev());
    a.len() == b.len() && pairs.all(|(a, b)| folded(*a) == folded(*b))
}

fn has_spelled_prefix(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len())
        .is_some_and(|head| same_spelling(head, prefix))
}

impl Reader<'_> {
    pub(super) fn identity_headers(&self, node: &Node<'_>) -> Option<IdentityHeaders> {
        let mut headers: Vec<(Cow<'static, str>, Fact)> = Vec::new();
        for name in self.distinct_names(node)? {
            // The name is part of the path, so what is not a name is shown as one line.
            let member = node.member(name)?;
            if !is_lower_case_token(name) {
                self.wrong_at(
                    &member,
                    "expected a header name in lower case",
                    &quoted(name),
                );
            } else if is_reserved(name) {
                self.wrong_at(
                    &member,
                    "expected a name without another meaning",
                    &quoted(name),
                );
            } else if headers
                .iter()
                .any(|(other, _)| same_spelling(other.as_bytes(), name.as_bytes()))
            {
                self.wrong_at(
                    &member,
                    "expected each header once",
                    "another spelling of it",
                );
            }
            let Some(fact) = self.word(&member, &FACTS) else {
                continue;
            };
            if fact == Fact::Nickname {
                self.warn(
                    &member.path(),
                    "a nickname is neither unique nor stable: show it, but never decide by it",
                );
            }
            headers.push((name.to_owned().into(), fact));
        }
        Some(IdentityHeaders::new(headers))
    }
}

/// `token` of RFC 9110 section 5.6.2 in lower case.
fn is_lower_case_token(name: &str) -> bool {
    let is_token =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(is_token)
}

fn is_reserved(name: &str) -> bool {
    RESERVED
        .iter()
        .any(|reserved| same_spelling(reserved.as_bytes(), name.as_bytes()))
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| has_spelled_prefix(name.as_bytes(), prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_managed_header_is_ours() {
        let long = "x".repeat(64);
        let headers = IdentityHeaders::new(vec![
            ("x-user".into(), Fact::AccountId),
            (long.clone().into(), Fact::Email),
        ]);
        assert!(headers.manages(long.as_bytes()) && !headers.manages(&[b'x'; 63]));
        for name in [
            "x-user",
            "x_user",
            "X-User",
            "x.user",
            "x-forwarded-user",
            "x_forwarded_user",
            "x-forwarded_email",
            "x-bitgate-principal",
            "x_bitgate-anything",
            "X-BITGATE-",
        ] {
            assert!(headers.manages(name.as_bytes()), "{name}");
        }
        for name in [
            "x-users",
            "user",
            "x-forwarded-for",
            "x-bitgat",
            "x\u{e9}bitgate-a",
            "",
        ] {
            assert!(!headers.manages(name.as_bytes()), "{name}");
        }
    }
}
