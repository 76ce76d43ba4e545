//! The gate that the conversations are held with.

use std::collections::HashMap;
use std::rc::Rc;

use bitgate::config::Config;
use bitgate::gate::Gate;
use bitgate::host::{SharedData, Version};

use crate::setup::KEY_TEXT;

const CONFIG: &str = r#"{
    "public_url": "https://tools.example.com",
    "bitbucket": {
        "client_id": "fuzz-consumer",
        "client_secret": {"env": "SECRET"},
        "scopes": ["account"],
        "web": {"cluster": "web"},
        "api": {"cluster": "api"}
    },
    "consumers": {"ci": {"client_id": "fuzz-ci-consumer", "client_secret": {"env": "SECRET"}, "scopes": ["account"]}},
    "session": {"keys": [{"kid": "fuzz", "key": {"env": "KEY"}}], "max_age": "12h", "idle_timeout": "1h"},
    "rules": [
        {"match": {"path": "/public/**"}, "allow": "public"},
        {"match": {"path": "/nobody/**"}, "allow": "nobody"},
        {"match": {"paths": ["/", "/app/**"]}, "allow": "signed_in"},
        {"match": {"path": "/raw/closed/**"}, "allow": "nobody"},
        {"match": {"path": "/raw/**", "tail": "raw"}, "allow": "signed_in", "inject": "none", "origins": ["https://other.example.com"]},
        {"match": {"path": "/signed/**"}, "allow": "signed_in", "identity_token": {"audience": "fuzz"}},
        {"match": {"path": "/plain/{name}"}, "allow": "signed_in", "inject": "none"},
        {"match": {"path": "/ci/**"}, "allow": "signed_in", "inject": "bearer", "consumer": "ci"},
        {"match": {"path": "/api/**", "methods": ["GET", "POST"]}, "allow": "signed_in", "inject": "bearer"}
    ]
}"#;

/// A gate with a rule of each kind, and paths without one.
pub(super) fn gate(client_secret: &str) -> Rc<Gate> {
    let environment = |name: &str| match name {
        "KEY" => Some(KEY_TEXT.to_owned()),
        "SECRET" => Some(client_secret.to_owned()),
        _ => None,
    };
    let config = Config::parse(CONFIG.as_bytes(), &environment).expect("a good configuration");
    Gate::new(config).expect("a key")
}

/// Data that workers share, with nobody to share it with.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<String, (Vec<u8>, Version)>);

impl SharedData for Memory {
    fn read(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.0.get(key).cloned()
    }

    fn write(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> bool {
        let version = self.0.get(key).map_or(0, |(_, version)| *version);
        let fits = version == 0 || expected.is_none_or(|expected| expected == version);
        if fits {
            self.0.insert(key.to_owned(), (value.to_vec(), version + 1));
        }
        fits
    }
}
