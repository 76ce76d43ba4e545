//! What a box holds in JSON: texts and numbers by short names. Read without a copy, since a box holds
//! secrets.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

enum Value<'a> {
    Number(u64),
    /// A copy if JSON escapes something in it.
    Text(Cow<'a, str>),
}

/// The fields that are not taken yet.
pub(super) struct Fields<'a>(Vec<(&'a str, Value<'a>)>);

impl<'a> Fields<'a> {
    /// `None` for anything but an object of texts and numbers.
    pub(super) fn read(plain: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(plain).ok()
    }

    /// Takes a text.
    pub(super) fn text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let is_it =
            |(found, value): &(&str, Value<'_>)| *found == name && matches!(value, Value::Text(_));
        match self.0.swap_remove(self.0.iter().position(is_it)?).1 {
            Value::Text(text) => Some(text),
            Value::Number(_) => None,
        }
    }

    /// Takes a number.
    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        let is_it = |(found, value): &(&str, Value<'_>)| {
            *found == name && matches!(value, Value::Number(_))
        };
        match self.0.swap_remove(self.0.iter().position(is_it)?).1 {
            Value::Number(number) => Some(number),
            Value::Text(_) => None,
        }
    }

    /// `None` if there is more than was taken: an unknown field, one of another type, or one twice.
    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(text.to_owned().into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_or_comes_twice_is_refused() {
        let read = |plain: &str| {
            let mut fields = Fields::read(plain.as_bytes())?;
            let read = (fields.text("s")?.into_owned(), fields.number("n"));
            fields.end()?;
            Some(read)
        };
        let text = || "a\"b".to_owned();
        assert_eq!(read(r#"{"s":"a\"b","n":7}"#), Some((text(), Some(7))));
        assert_eq!(read(r#"{"s":"a\"b"}"#), Some((text(), None)));
        for plain in [
            "",
            "[]",
            r#"{"n":7}"#,
            r#"{"s":7}"#,
            r#"{"s":"a","n":"7"}"#,
            r#"{"s":"a","n":-7}"#,
            r#"{"s":"a","s":"a"}"#,
            r#"{"s":"a","x":"a"}"#,
            r#"{"s":"a"}{}"#,
        ] {
            assert_eq!(read(plain), None, "{plain}");
        }
    }
}
