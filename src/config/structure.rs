//! A configuration that comes as `google.protobuf.Struct`, which is what plain YAML in an Envoy
//! configuration becomes. The host hands it over in protobuf's binary form.
//!
//! On its way it has lost what JSON keeps: repeated keys, and whether a number was an integer.

use crate::json::Json;

/// `google.protobuf.Struct`. Its map is a list of entries in binary form; as a map it would be 3 KB more
/// of the module.
#[derive(Clone, PartialEq, prost::Message)]
struct Struct {
    #[prost(message, repeated, tag = "1")]
    fields: Vec<Field>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Field {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Value>,
}

/// `google.protobuf.Value`
#[derive(Clone, PartialEq, prost::Message)]
struct Value {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(int32, tag = "1")]
    Null(i32),
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    String(String),
    #[prost(bool, tag = "4")]
    Bool(bool),
    #[prost(message, tag = "5")]
    Struct(Struct),
    #[prost(message, tag = "6")]
    List(List),
}

/// `google.protobuf.ListValue`
#[derive(Clone, PartialEq, prost::Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

/// `None` if the bytes are no such message, or one without any member. Depth is limited to 100 by
/// the library.
pub(super) fn read(bytes: &[u8]) -> Option<Json> {
    let message = <Struct as prost::Message>::decode(bytes).ok()?;
    (!message.fields.is_empty()).then(|| object(message))
}

/// Members in the order of their names: entries of a map have none.
fn object(message: Struct) -> Json {
    let mut members: Vec<(String, Json)> = Vec::with_capacity(message.fields.len());
    for Field { name, value } in message.fields {
        let at = members.partition_point(|(before, _)| *before <= name);
        members.insert(at, (name, value.map_or(Json::Null, json)));
    }
    Json::Object(members)
}

fn json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::Null(_)) => Json::Null,
        Some(Kind::Bool(value)) => Json::Bool(value),
        Some(Kind::Number(value)) => {
            serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number)
        }
        Some(Kind::String(value)) => Json::String(value),
        Some(Kind::List(list)) => Json::Array(list.values.into_iter().map(json).collect()),
        Some(Kind::Struct(message)) => object(message),
    }
}
