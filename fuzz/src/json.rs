//! JSON: ours against that of `serde_json`.

use std::collections::HashSet;

use bitgate::json::Json;
use serde_json::Value;

/// Both readers accept the same documents and see the same values in them. The strict one refuses
/// exactly those that name a member twice.
pub(crate) fn json(bytes: &[u8]) {
    let ours = Json::parse(bytes);
    let theirs = serde_json::from_slice::<Value>(bytes);
    let strict = Json::parse_strict(bytes);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(value_of(&ours), theirs);
            match strict {
                Some(strict) => assert!(is_distinct(&ours) && strict == ours),
                None => assert!(!is_distinct(&ours)),
            }
            if let Json::Object(members) = &ours {
                for (name, _) in members {
                    let first = members.iter().find(|(other, _)| other == name);
                    assert_eq!(ours.member(name), first.map(|(_, value)| value));
                }
            }
        }
        (Err(ours), Err(theirs)) => {
            assert_eq!(
                (ours.line(), ours.column()),
                (theirs.line(), theirs.column())
            );
            assert!(strict.is_none());
        }
        (ours, theirs) => panic!("{:?} but {:?}", ours.err(), theirs.err()),
    }
}

/// `serde_json` lets the last of two members win.
fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Number(number.clone()),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => items.iter().map(value_of).collect(),
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), value_of(value)))
            .collect(),
    }
}

fn is_distinct(json: &Json) -> bool {
    match json {
        Json::Array(items) => items.iter().all(is_distinct),
        Json::Object(members) => {
            let mut seen = HashSet::new();
            members
                .iter()
                .all(|(name, value)| seen.insert(name) && is_distinct(value))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
    }
}
