//! `fields=…`: partial answers. `a.b` is one of those that are wanted and no others, `+a.b` one
//! more, `-a.b` one less. Lists are looked through.

use serde_json::{Map, Value};

/// The wishes of a client.
#[derive(Debug, Default)]
pub(super) struct Fields<'f> {
    only: Vec<Vec<&'f str>>,
    more: Vec<Vec<&'f str>>,
    less: Vec<Vec<&'f str>>,
}

impl<'f> Fields<'f> {
    pub(super) fn read(text: &'f str) -> Self {
        let mut fields = Self::default();
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let (list, path) = match item.split_at_checked(1) {
                Some(("+", path)) => (&mut fields.more, path),
                Some(("-", path)) => (&mut fields.less, path),
                _ => (&mut fields.only, item),
            };
            list.push(path.split('.').collect());
        }
        fields
    }

    /// The part of a document. `on_request` are members of its rows, or of itself, which it has
    /// only for those who name them.
    pub(super) fn of(&self, full: Value, on_request: &[&str]) -> Value {
        let mut part = match self.only.is_empty() {
            true => {
                let mut usual = full.clone();
                for name in on_request {
                    remove(&mut usual, &[name]);
                    remove(&mut usual, &["values", name]);
                }
                usual
            }
            false => select(&full, &slices(&self.only)).unwrap_or_default(),
        };
        if let Some(more) = select(&full, &slices(&self.more)).filter(|_| !self.more.is_empty()) {
            merge(&mut part, more);
        }
        for path in &self.less {
            remove(&mut part, path);
        }
        part
    }
}

fn slices<'p>(paths: &'p [Vec<&'p str>]) -> Vec<&'p [&'p str]> {
    paths.iter().map(Vec::as_slice).collect()
}

fn select(value: &Value, paths: &[&[&str]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    match value {
        Value::Array(items) => {
            let items = items.iter().filter_map(|item| select(item, paths));
            Some(Value::Array(items.collect()))
        }
        Value::Object(members) => {
            let mut selected = Map::new();
            for (name, member) in members {
                let below = paths.iter().filter_map(|path| path.split_first());
                let below: Vec<&[&str]> = below
                    .filter(|(first, _)| *first == name)
                    .map(|(_, rest)| rest)
                    .collect();
                if let Some(member) = select(member, &below).filter(|_| !below.is_empty()) {
                    selected.insert(name.clone(), member);
                }
            }
            Some(Value::Object(selected))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(members), Value::Object(more)) => {
            for (name, more) in more {
                match members.get_mut(&name) {
                    Some(member) => merge(member, more),
                    None => {
                        members.insert(name, more);
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(more)) => {
            for (item, more) in items.iter_mut().zip(more) {
                merge(item, more);
            }
        }
        (_, _) => {}
    }
}

fn remove(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Array(items), path) => items.iter_mut().for_each(|item| remove(item, path)),
        (Value::Object(members), [name]) => {
            members.remove(*name);
        }
        (Value::Object(members), [name, rest @ ..]) => {
            if let Some(member) = members.get_mut(*name) {
                remove(member, rest);
            }
        }
        (_, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wishes_select_add_and_take_away() {
        let full = json!({
            "next": "n",
            "size": 2,
            "values": [
                {"permission": "read", "rare": 1, "repository": {"uuid": "u", "name": "w"}},
                {"permission": "write", "rare": 2, "repository": {"uuid": "v", "name": "x"}},
            ],
        });
        for (wish, expected) in [
            ("next", json!({"next": "n"})),
            (
                "next,values.permission",
                json!({"next": "n", "values": [{"permission": "read"}, {"permission": "write"}]}),
            ),
            (
                "values.repository.uuid,values.rare",
                json!({"values": [
                    {"rare": 1, "repository": {"uuid": "u"}},
                    {"rare": 2, "repository": {"uuid": "v"}},
                ]}),
            ),
            ("-values,-next,+values.rare", json!({"size": 2})),
            (
                "+values.rare,-values.repository,-size",
                json!({"next": "n", "values": [
                    {"permission": "read", "rare": 1},
                    {"permission": "write", "rare": 2},
                ]}),
            ),
            ("nothing", json!({})),
            // A plus that was not encoded is a space, and a name that nobody has.
            (" values.rare", json!({})),
            ("size.deeper", json!({})),
            ("values.nothing", json!({"values": [{}, {}]})),
        ] {
            let part = Fields::read(wish).of(full.clone(), &["rare"]);
            assert_eq!(part, expected, "{wish}");
        }
        let usual = Fields::read("").of(full, &["rare"]);
        assert_eq!(usual["values"][0].get("rare"), None);
        assert_eq!(usual["size"], 2);
    }
}
