//! A configuration of Bitgate, wherever it was found.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bitgate::json::Json;
use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, NullValue, Struct, Value};

use crate::finding::Place;
use crate::node::Node;

/// A plugin of Envoy that is Bitgate.
#[derive(Debug)]
pub(crate) struct Plugin {
    /// Where it stands.
    pub(crate) place: Place,
    /// Its configuration.
    pub(crate) configuration: Configuration,
    /// The environment that it will have.
    pub(crate) passed: Passed,
}

/// A configuration as the module will get it.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The same as a tree, to look things up in; `null` if it is none.
    pub(crate) json: Json,
}

/// The variables that a module sees.
#[derive(Debug)]
pub(crate) enum Passed {
    /// The file does not say.
    Unknown,
    /// These and no others.
    Only {
        /// Variables of Envoy's own environment.
        host: Vec<String>,
        /// Names and values in the file.
        inline: Vec<(String, String)>,
    },
}

/// A cluster that a configuration names.
#[derive(Debug)]
pub(crate) struct ClusterUse {
    /// The path of the section that names it.
    pub(crate) path: String,
    /// Its name.
    pub(crate) cluster: String,
    /// The host, if the address is an https one.
    pub(crate) https_host: Option<String>,
}

impl ClusterUse {
    /// Whether codes and refresh tokens, which work once, are sent there.
    pub(crate) fn has_single_use_calls(&self) -> bool {
        self.path == "bitbucket.web"
    }

    /// Whether keys come from there, and no secret goes there.
    pub(crate) fn has_keys(&self) -> bool {
        self.path.starts_with("issuers")
    }
}

impl Configuration {
    /// A text that is handed on as it is.
    pub(crate) fn from_text(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            json: Json::parse(bytes).unwrap_or(Json::Null),
        }
    }

    /// A tree that is handed on as a JSON document.
    pub(crate) fn from_json(json: &Json) -> Self {
        Self {
            bytes: serde_value(json).to_string().into_bytes(),
            json: json.clone(),
        }
    }

    /// A tree that is handed on as a `google.protobuf.Struct` in its binary form.
    pub(crate) fn from_struct(json: &Json) -> Self {
        let message = match wkt_value(json).kind {
            Some(Kind::StructValue(message)) => message,
            Some(
                Kind::BoolValue(_)
                | Kind::ListValue(_)
                | Kind::NullValue(_)
                | Kind::NumberValue(_)
                | Kind::StringValue(_),
            )
            | None => Struct::default(),
        };
        Self {
            bytes: message.encode_to_vec(),
            json: json.clone(),
        }
    }

    /// The value of an `Any` as Envoy hands it on. `None` for types that Bitgate cannot read.
    pub(crate) fn from_any(any: Option<&Node<'_>>) -> Option<Self> {
        let Some(any) = any else {
            return Some(Self::from_text(b""));
        };
        let (name, message) = any.message()?;
        let value = message.get("value");
        match name {
            "google.protobuf.StringValue" => {
                let text = value.as_ref().and_then(Node::as_str).unwrap_or_default();
                Some(Self::from_text(text.as_bytes()))
            }
            "google.protobuf.BytesValue" => {
                let text = value.as_ref().and_then(Node::as_str).unwrap_or_default();
                STANDARD
                    .decode(text)
                    .ok()
                    .map(|bytes| Self::from_text(&bytes))
            }
            "google.protobuf.Struct" => {
                let empty = Json::Object(Vec::new());
                Some(Self::from_struct(
                    value.as_ref().map_or(&empty, |value| value.json),
                ))
            }
            _ => None,
        }
    }

    /// Whether it looks like one of Bitgate.
    pub(crate) fn is_ours(&self) -> bool {
        is_ours(&self.json)
    }

    /// The clusters that it names.
    pub(crate) fn clusters(&self) -> Vec<ClusterUse> {
        let mut clusters = Vec::new();
        Node::root(&self.json).visit(&mut |node| {
            let Some(cluster) = node.text("cluster") else {
                return;
            };
            let default = match node.path.as_str() {
                "bitbucket.web" => Some("https://bitbucket.org"),
                "bitbucket.api" => Some("https://api.bitbucket.org"),
                _ => None,
            };
            clusters.push(ClusterUse {
                path: node.path.clone(),
                cluster: cluster.to_owned(),
                https_host: node.text("url").or(default).and_then(https_host),
            });
        });
        clusters
    }

    /// The first rule with `tail: raw`.
    pub(crate) fn raw_rule(&self) -> Option<usize> {
        let rules = Node::root(&self.json).list("rules");
        let is_raw = |rule: &Node<'_>| {
            rule.dig(&["match", "tail"])
                .is_some_and(|tail| tail.as_str() == Some("raw"))
        };
        rules.iter().position(is_raw)
    }

    /// Where a variable is named.
    pub(crate) fn path_of_variable(&self, name: &str) -> Option<String> {
        let mut path = None;
        Node::root(&self.json).visit(&mut |node| {
            if path.is_none() && node.text("env") == Some(name) {
                path = Some(node.path_of("env"));
            }
        });
        path
    }
}

/// Whether a document looks like a configuration of Bitgate.
pub(crate) fn is_ours(json: &Json) -> bool {
    ["public_url", "bitbucket", "session"]
        .iter()
        .any(|name| json.member(name).is_some())
}

fn https_host(url: &str) -> Option<String> {
    let authority = url.strip_prefix("https://")?.split('/').next()?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    Some(host.to_ascii_lowercase())
}

fn serde_value(json: &Json) -> serde_json::Value {
    match json {
        Json::Null => serde_json::Value::Null,
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => serde_json::Value::Number(number.clone()),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(serde_value).collect(),
        Json::Object(members) => {
            let members = members.iter();
            serde_json::Value::Object(
                members
                    .map(|(name, value)| (name.clone(), serde_value(value)))
                    .collect(),
            )
        }
    }
}

fn wkt_value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(NullValue::NullValue.into()),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue {
            values: items.iter().map(wkt_value).collect(),
        }),
        Json::Object(members) => {
            let members = members.iter();
            Kind::StructValue(Struct {
                fields: members
                    .map(|(name, value)| (name.clone(), wkt_value(value)))
                    .collect(),
            })
        }
    };
    Value { kind: Some(kind) }
}
