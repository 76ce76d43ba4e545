//! A JSON document that keeps what `serde_json::Value` loses: member order and repeated members.
//!
//! RFC 8259 section 4 leaves repeated names to the reader. Two readers that choose differently are
//! a way around a check, so ours refuses them: configuration with a path, a provider's answer as
//! malformed. Depth is limited to 128 by serde_json.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::sorted::sorted;

/// Any JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(serde_json::Number),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object's members in their order, repeated ones included.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one document.
    ///
    /// # Errors
    /// The place and the kind of the mistake, without any text of the document.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Reads one document of a provider: no object in it may repeat a member.
    #[must_use]
    pub fn parse_strict(text: &[u8]) -> Option<Self> {
        Self::parse(text).ok().filter(Self::has_distinct_members)
    }

    /// Whether no object in it repeats a member.
    #[must_use]
    pub fn has_distinct_members(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => true,
            Self::Array(items) => items.iter().all(Self::has_distinct_members),
            Self::Object(members) => {
                let names = sorted(members.iter().map(|(name, _)| name.as_str()).collect());
                names.is_sorted_by(|a, b| a < b)
                    && members
                        .iter()
                        .all(|(_, value)| value.has_distinct_members())
            }
        }
    }

    /// The first member called `name`, if this is an object that has it.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        members
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    /// The number, if this is one that fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Number(number) = self {
            number.as_u64()
        } else {
            None
        }
    }

    /// The items, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// Whether this is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// What kind of value this is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// An object for an answer, with these members. `json!` would write the making of each one out.
pub(crate) fn object(members: Vec<(&str, serde_json::Value)>) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    for (name, value) in members {
        object.insert(name.to_owned(), value);
    }
    object.into()
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_members_are_kept_for_configuration_and_refused_from_a_provider() {
        let text = br#"{"a": {"b": 1, "b": 2}}"#;
        let Json::Object(outer) = Json::parse(text).unwrap() else {
            panic!()
        };
        let Json::Object(inner) = &outer[0].1 else {
            panic!()
        };
        assert_eq!(inner.len(), 2);
        assert_eq!(Json::parse_strict(text), None);
        // The escaped twin of a name is the same name.
        assert_eq!(Json::parse_strict(br#"{"sub":1,"\u0073ub":2}"#), None);
    }

    #[test]
    fn depth_has_an_end() {
        let deep = "[".repeat(100_000);
        assert!(Json::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn members_are_found_by_name() {
        let json = Json::parse_strict(br#"{"s":"x","n":7,"b":true,"l":[1],"z":null}"#).unwrap();
        assert_eq!(json.member("s").and_then(Json::as_str), Some("x"));
        assert_eq!(json.member("n").and_then(Json::as_u64), Some(7));
        assert_eq!(json.member("b").and_then(Json::as_bool), Some(true));
        assert_eq!(
            json.member("l").and_then(Json::as_array).map(<[Json]>::len),
            Some(1)
        );
        assert_eq!(json.member("z"), Some(&Json::Null));
        assert_eq!(json.member("q"), None);
    }
}
