//! Single values: addresses, durations, secrets.

use std::time::UNIX_EPOCH;

use zeroize::Zeroizing;

use crate::config::PublicOrigin;
use crate::config::origin::{Origin, OriginError};
use crate::config::reader::{Node, Reader, quoted};
use crate::json::Json;
use crate::time::{Seconds, UnixTime};

impl Reader<'_> {
    /// `public_url`.
    pub(super) fn public_url(&self, node: &Node<'_>) -> Option<PublicOrigin> {
        let origin = self.origin(node)?;
        let authority = origin.authority();
        Some(PublicOrigin {
            origin: format!("{}://{authority}", origin.scheme.name()),
            authority,
            default_port: origin.port.is_none().then(|| origin.scheme.port()),
            is_loopback: origin.is_loopback(),
        })
    }

    /// An origin, as scheme and authority.
    pub(super) fn endpoint_url(&self, node: &Node<'_>) -> Option<(&'static str, String)> {
        let origin = self.origin(node)?;
        Some((origin.scheme.name(), origin.authority()))
    }

    fn origin(&self, node: &Node<'_>) -> Option<Origin> {
        const REST: &str = "expected scheme, host and port only";
        let text = self.string(node)?;
        // A password may be in it.
        let found = match text.contains('@') {
            true => "user information".to_owned(),
            false => quoted(text),
        };
        let (expected, found) = match Origin::parse(text) {
            Ok(origin) => return Some(origin),
            Err(OriginError::Syntax) => (
                "expected an origin such as https://tools.example.com",
                found.as_str(),
            ),
            Err(OriginError::Scheme) => ("expected the scheme https", found.as_str()),
            Err(OriginError::Plain) => (
                "expected https, since only a loopback host may use http",
                found.as_str(),
            ),
            Err(OriginError::User) => (REST, "user information"),
            Err(OriginError::Rest) => (REST, "more than that"),
        };
        self.wrong_at(node, expected, found);
        None
    }

    /// `90s`, `30m`, `12h`, `7d`, between `least` and `most`.
    pub(super) fn duration(
        &self,
        node: &Node<'_>,
        least: Seconds,
        most: Seconds,
    ) -> Option<Seconds> {
        let text = node.json.as_str();
        let parsed = text.and_then(parse_duration);
        let fits = parsed.filter(|span| (least..=most).contains(span));
        if fits.is_none() {
            let expected = format!(
                "expected a duration such as \"90s\", \"30m\", \"12h\" or \"7d\" \
                 from {least} to {most}"
            );
            let found = text.map_or_else(|| node.json.kind().to_owned(), quoted);
            self.wrong_at(node, &expected, &found);
        }
        fits
    }

    /// A whole number from `least` to `most`. A Struct has made a floating-point number of it.
    pub(super) fn integer(&self, node: &Node<'_>, least: u32, most: u32) -> Option<u32> {
        let text = match node.json {
            Json::Number(number) => Some(number.to_string()),
            Json::Null | Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => None,
        };
        let digits = text
            .as_deref()
            .map(|text| text.strip_suffix(".0").unwrap_or(text));
        let parsed = digits.and_then(|digits| digits.parse::<u32>().ok());
        let fits = parsed.filter(|number| (least..=most).contains(number));
        if fits.is_none() {
            let expected = format!("expected a whole number from {least} to {most}");
            let found = text.unwrap_or_else(|| node.json.kind().to_owned());
            self.wrong_at(node, &expected, &found);
        }
        fits
    }

    /// A moment as in RFC 3339, in UTC: `2026-11-24T18:00:00Z`.
    pub(super) fn moment(&self, node: &Node<'_>) -> Option<UnixTime> {
        let text = node.json.as_str();
        let parsed = text.and_then(|text| humantime::parse_rfc3339(text).ok());
        let since = parsed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        if since.is_none() {
            let expected = "expected a moment such as \"2026-11-24T18:00:00Z\"";
            let found = text.map_or_else(|| node.json.kind().to_owned(), quoted);
            self.wrong_at(node, expected, &found);
        }
        since.map(|since| UnixTime(since.as_secs()))
    }

    /// `{env: NAME}`, or `{inline: …}` on a loopback site. The value is never part of a message.
    pub(super) fn secret(
        &self,
        node: &Node<'_>,
        inline_allowed: bool,
    ) -> Option<Zeroizing<String>> {
        const EXPECTED: &str = "expected {\"env\": \"NAME\"}";
        let object = match node.json.as_str() {
            Some(_) => {
                self.wrong_at(node, EXPECTED, "a string");
                return None;
            }
            None => self.object(node, &["env", "inline"])?,
        };
        let (place, value) = match (object.member("env"), object.member("inline")) {
            (Some(name), None) => {
                let variable = self.string(&name)?;
                // Somebody may have put the secret itself there: it is shown only if it looks like a name.
                let is_name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
                if variable.is_empty() || !variable.bytes().all(is_name) {
                    let expected = "expected the name of an environment variable, in upper case";
                    self.wrong_at(&name, expected, "something else");
                    return None;
                }
                let value = (self.environment)(variable).filter(|text| !text.is_empty());
                let Some(value) = value else {
                    let expected =
                        format!("expected the environment variable {variable} to be set");
                    self.wrong_at(&name, &expected, "nothing");
                    return None;
                };
                (name, Zeroizing::new(value))
            }
            (None, Some(value)) if inline_allowed => {
                let text = self.string(&value)?;
                (value, Zeroizing::new(text.to_owned()))
            }
            (None, Some(value)) => {
                let expected = "expected {\"env\": \"NAME\"}, since public_url is no loopback host";
                self.wrong_at(&value, expected, "an inline secret");
                return None;
            }
            (Some(_), Some(_)) => {
                self.wrong_at(node, EXPECTED, "env and inline");
                return None;
            }
            (None, None) => {
                self.wrong_at(node, EXPECTED, "neither env nor inline");
                return None;
            }
        };
        // A line feed at the end of a file that became a variable is the usual mistake.
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_graphic()) {
            self.wrong_at(
                &place,
                "expected visible ASCII characters",
                "none, or another byte",
            );
            return None;
        }
        Some(value)
    }
}

fn parse_duration(text: &str) -> Option<Seconds> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds_per_unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(seconds_per_unit)
        .map(Seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let table = [
            ("90s", Some(90)),
            ("30m", Some(1_800)),
            ("12h", Some(43_200)),
            ("7d", Some(604_800)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("5", None),
            ("+5s", None),
            ("-5s", None),
            ("1.5h", None),
            ("5 s", None),
            ("5S", None),
            ("5\u{e9}", None),
            ("18446744073709551615d", None),
            ("99999999999999999999s", None),
        ];
        for (text, seconds) in table {
            assert_eq!(parse_duration(text), seconds.map(Seconds), "{text}");
        }
    }
}
