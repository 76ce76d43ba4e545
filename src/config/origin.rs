//! Addresses of sites: scheme, host and port, and nothing else.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An origin, spelled as browsers spell it in the `Host` and `Origin` of a request.
///
/// It is read without a library for URLs: one that knows all of the URL standard is 40 KB of the
/// module. What is read here is less than a browser would repair, and `url` is the oracle of the
/// tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    host: Host,
    /// `None` for the scheme's own.
    pub(super) port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
}

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OriginError {
    Syntax,
    Scheme,
    /// `http` to another machine.
    Plain,
    User,
    /// A path, a query or a fragment.
    Rest,
}

impl Origin {
    pub(super) fn parse(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::Syntax)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let tail = rest.strip_prefix(authority).unwrap_or_default();
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let (host, port) = split_port(address).ok_or(OriginError::Syntax)?;
        let host = Host::parse(host).ok_or(OriginError::Syntax)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" if host.is_loopback() => Scheme::Http,
            "http" => return Err(OriginError::Plain),
            _ => return Err(OriginError::Scheme),
        };
        match (user, tail) {
            (Some(_), _) => Err(OriginError::User),
            (None, "" | "/") => Ok(Self {
                scheme,
                host,
                port: port.filter(|port| *port != scheme.port()),
            }),
            (None, _) => Err(OriginError::Rest),
        }
    }

    /// Host and port.
    pub(super) fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.host.is_loopback()
    }
}

impl Scheme {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(super) const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Host {
    /// `None` for what a browser would spell in another way, or could not look up. Whether there is
    /// a name behind a label such as `xn--mnchen-3ya` is not looked at.
    fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let address: Ipv6Addr = rest.strip_suffix(']')?.parse().ok()?;
            // Browsers write these without dots, the standard library with them.
            let is_mapped = address.to_ipv4_mapped().is_some();
            return (!is_mapped).then_some(Self::Ipv6(address));
        }
        let name = text.to_ascii_lowercase();
        let labels = name.strip_suffix('.').unwrap_or(&name);
        let is_label = |label: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            !label.is_empty() && label.bytes().all(allowed)
        };
        if !labels.split('.').all(is_label) {
            return None;
        }
        // Browsers take such a name for an address, in one of many spellings.
        let last = labels.rsplit('.').next().unwrap_or_default();
        let is_number = match last.strip_prefix("0x") {
            Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
            None => last.bytes().all(|b| b.is_ascii_digit()),
        };
        if is_number {
            return name.parse().ok().map(Self::Ipv4);
        }
        Some(Self::Name(name))
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Ipv4(address) => address.is_loopback(),
            Self::Ipv6(address) => address.is_loopback(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ipv4(address) => write!(f, "{address}"),
            Self::Ipv6(address) => write!(f, "[{address}]"),
        }
    }
}

/// Host and port; an empty port is none.
fn split_port(address: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match address.rsplit_once(':') {
        // The colon may be one of an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        Some(_) | None => return Some((address, None)),
    };
    if port.is_empty() {
        return Some((host, None));
    }
    let is_number = port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|_| is_number)?;
    Some((host, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, OriginError> {
        let origin = Origin::parse(text)?;
        Ok(format!("{}://{}", origin.scheme.name(), origin.authority()))
    }

    #[test]
    fn what_is_no_origin_says_why() {
        let table = [
            ("tools.example.com", OriginError::Syntax),
            ("https://", OriginError::Syntax),
            ("https:///tools.example.com", OriginError::Syntax),
            ("https://tools..example.com", OriginError::Syntax),
            ("https://tools example.com", OriginError::Syntax),
            ("https://ex\u{e4}mple.com", OriginError::Syntax),
            ("https://a\\b", OriginError::Syntax),
            ("https://*.example.com", OriginError::Syntax),
            ("https://%61.example.com", OriginError::Syntax),
            ("https://x.test:+1", OriginError::Syntax),
            ("https://x.test:65536", OriginError::Syntax),
            ("https://x.test:1:2", OriginError::Syntax),
            ("https://127.1", OriginError::Syntax),
            ("https://0x7f.0.0.1", OriginError::Syntax),
            ("https://2130706433", OriginError::Syntax),
            ("https://[::1", OriginError::Syntax),
            ("https://[::ffff:127.0.0.1]", OriginError::Syntax),
            ("https://::1", OriginError::Syntax),
            ("ftp://tools.example.com", OriginError::Scheme),
            (" https://tools.example.com", OriginError::Scheme),
            ("http://tools.example.com", OriginError::Plain),
            ("http://localhost.", OriginError::Plain),
            ("http://127.0.0.1.evil.test", OriginError::Plain),
            ("https://a:b@tools.example.com", OriginError::User),
            ("https://tools.example.com\\@x.test", OriginError::User),
            ("https://tools.example.com/path", OriginError::Rest),
            ("https://tools.example.com?", OriginError::Rest),
            ("https://tools.example.com/#", OriginError::Rest),
        ];
        for (text, error) in table {
            assert_eq!(shown(text), Err(error), "{text}");
        }
    }

    /// Everything that is read is read by the URL standard too, and as the same.
    #[test]
    fn what_is_read_is_what_browsers_read() {
        let hosts = "tools.example.com TOOLS.Example.com tools_1.example.com xn--mnchen-3ya.de - a. a.. . \
            0 1.2 127.0.0.1 127.0.0.1. 127.00.0.1 256.0.0.1 1.2.3.4.5 0x 0xg a.0x7f a.1 1.a a.1. 08.a \
            localhost dev.localhost localhost. [::1] [::] [1::2:0:0:0:3] [2001:DB8::1:0] [1:2:3:4:5:6:7:8] \
            [::ffff:1.2.3.4] [::1.2.3.4] [::1%1] [1] [] [::1]x a!b a^b a|b a$b a,b a@b a[b a]b a%41 \u{e4} a\tb";
        let ports = [
            "", ":", ":0", ":80", ":443", ":0443", ":8443", ":65536", ":x", ":-1", ":80:",
        ];
        let mut read = 0;
        for scheme in ["https", "http", "HTTPS", "ws"] {
            for host in hosts.split(' ').chain(["", "a b"]) {
                for port in ports {
                    for tail in ["", "/", "//", "/.", "?", "#", "\\"] {
                        let text = format!("{scheme}://{host}{port}{tail}");
                        let Ok(origin) = Origin::parse(&text) else {
                            continue;
                        };
                        let url = url::Url::parse(&text).unwrap_or_else(|_| panic!("{text}"));
                        assert_eq!(shown(&text).unwrap(), url.origin().ascii_serialization());
                        assert_eq!(origin.port, url.port(), "{text}");
                        assert_eq!(origin.scheme.name(), url.scheme(), "{text}");
                        assert_eq!(url.path(), "/", "{text}");
                        read += 1;
                    }
                }
            }
        }
        assert!(read > 200, "{read}");
    }
}
