//! Parameters of a query or a form, each at most once (RFC 6749 section 3.1).

use std::collections::BTreeMap;

/// Distinct parameters.
pub(super) struct Parameters(BTreeMap<String, String>);

/// A parameter was there twice.
pub(super) struct Repeated;

impl Parameters {
    pub(super) fn read(text: &[u8]) -> Result<Self, Repeated> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            if parameters
                .insert(name.into_owned(), value.into_owned())
                .is_some()
            {
                return Err(Repeated);
            }
        }
        Ok(Self(parameters))
    }

    /// The value; an empty one is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
