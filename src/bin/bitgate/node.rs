//! Values and where they stand, with the spellings that Envoy takes.

use bitgate::json::Json;

/// A value of a document and its path in it.
#[derive(Clone, Debug)]
pub(crate) struct Node<'j> {
    pub(crate) json: &'j Json,
    pub(crate) path: String,
}

impl<'j> Node<'j> {
    /// A whole document.
    pub(crate) fn root(json: &'j Json) -> Self {
        Self {
            json,
            path: String::new(),
        }
    }

    /// A field of a message: in snake case or in lower camel case, as protobuf's JSON. One that is
    /// null is not set.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        let Json::Object(members) = self.json else {
            return None;
        };
        let camel = camel_case(name);
        let (key, json) = members
            .iter()
            .find(|(key, json)| (key == name || *key == camel) && *json != Json::Null)?;
        Some(Self {
            json,
            path: self.path_of(key),
        })
    }

    /// A field of a field.
    pub(crate) fn dig(&self, names: &[&str]) -> Option<Self> {
        names
            .iter()
            .try_fold(self.clone(), |node, name| node.get(name))
    }

    /// The items of a list; none of everything else.
    pub(crate) fn items(&self) -> Vec<Self> {
        let json: &'j Json = self.json;
        let items = json.as_array().unwrap_or_default().iter().enumerate();
        items
            .map(|(index, json)| Self {
                json,
                path: format!("{}[{index}]", self.path),
            })
            .collect()
    }

    /// The items of a repeated field.
    pub(crate) fn list(&self, name: &str) -> Vec<Self> {
        self.get(name).map(|node| node.items()).unwrap_or_default()
    }

    /// The members of an object; none of everything else.
    pub(crate) fn members(&self) -> Vec<(&'j str, Self)> {
        let json: &'j Json = self.json;
        let Json::Object(members) = json else {
            return Vec::new();
        };
        members
            .iter()
            .map(|(name, json)| {
                let path = self.path_of(name);
                (name.as_str(), Self { json, path })
            })
            .collect()
    }

    /// The text, if it is one.
    pub(crate) fn as_str(&self) -> Option<&'j str> {
        let json: &'j Json = self.json;
        json.as_str()
    }

    /// A field that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&'j str> {
        self.get(name)?.as_str()
    }

    /// Whether a field is true. Protobuf's JSON takes the word in quotes, too.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|node| node.json.as_bool() == Some(true) || node.as_str() == Some("true"))
    }

    /// Where a member of it stands.
    pub(crate) fn path_of(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// The message in an `Any`, and its type's name without the part that says who defines it.
    /// One that hides in a `TypedStruct` is taken out: control planes write those.
    pub(crate) fn message(&self) -> Option<(&'j str, Self)> {
        let name = type_name(self.member("@type")?.as_str()?);
        if !name.ends_with(".TypedStruct") {
            return Some((name, self.clone()));
        }
        Some((type_name(self.text("type_url")?), self.get("value")?))
    }

    /// All messages of a type, wherever they stand in it.
    pub(crate) fn find(&self, wanted: &str) -> Vec<Self> {
        let mut found = Vec::new();
        self.visit(&mut |node| {
            if let Some((name, message)) = node.message()
                && name == wanted
            {
                found.push(message);
            }
        });
        found
    }

    /// Calls `look` for it and everything in it.
    pub(crate) fn visit(&self, look: &mut dyn FnMut(&Self)) {
        look(self);
        for (_, member) in self.members() {
            member.visit(look);
        }
        for item in self.items() {
            item.visit(look);
        }
    }

    /// Whether it stands in `other`.
    pub(crate) fn is_within(&self, other: &Node<'_>) -> bool {
        self.rest_of(&other.path).is_some()
    }

    /// Its path below another.
    pub(crate) fn rest_of(&self, path: &str) -> Option<&str> {
        rest_of(&self.path, path)
    }

    /// A member by its exact name.
    fn member(&self, name: &str) -> Option<Self> {
        let json: &'j Json = self.json;
        Some(Self {
            json: json.member(name)?,
            path: self.path_of(name),
        })
    }
}

/// The rest of a path below another.
pub(crate) fn rest_of<'p>(path: &'p str, parent: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(parent)?;
    match rest.chars().next() {
        None | Some('[') => Some(rest),
        Some('.') => rest.get(1..),
        Some(_) if parent.is_empty() => Some(rest),
        Some(_) => None,
    }
}

fn type_name(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}
