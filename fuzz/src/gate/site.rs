//! The gate that the conversations are held with.

use std::rc::Rc;

use bitgate::config::Config;
use bitgate::gate::Gate;

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
