//! A configuration that comes as `google.protobuf.Struct`, which is what plain YAML in an Envoy
//! configuration becomes. The host hands it over in protobuf's binary form.
//!
//! On its way it has lost what JSON keeps: repeated keys, and whether a number was an integer.

use prost_types::value::Kind;
use prost_types::{Struct, Value};

use crate::json::Json;

/// `None` if the bytes are no such message, or one without any member. Depth is limited to 100 by
/// the library.
pub(super) fn read(bytes: &[u8]) -> Option<Json> {
    let message = <Struct as prost::Message>::decode(bytes).ok()?;
    (!message.fields.is_empty()).then(|| object(message))
}

fn object(message: Struct) -> Json {
    let members = message.fields.into_iter();
    Json::Object(members.map(|(name, value)| (name, json(value))).collect())
}

fn json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(value),
        Some(Kind::NumberValue(value)) => {
            serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number)
        }
        Some(Kind::StringValue(value)) => Json::String(value),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(json).collect()),
        Some(Kind::StructValue(message)) => object(message),
    }
}
