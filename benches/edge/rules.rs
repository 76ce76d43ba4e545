//! Bitgate's rules.

use serde_json::{Value, json};

/// The path that the last of many rules is for.
pub(crate) const LAST: &str = "/artifacts/acme/widgets/dist/app.js";

const WIDGETS: &str = "{99cc0000-1111-4222-8333-444455556666}";

/// A rule of each kind that is measured.
pub(crate) fn usual() -> Value {
    json!([
        {"match": {"path": "/public/**"}, "allow": "public"},
        {"match": {"path": "/identity/**"}, "allow": "signed_in", "inject": "identity"},
        {
            "match": {"path": "/pipelines/**"},
            "allow": {"pipeline": {"workspace": "acme", "repository": WIDGETS}},
        },
        {"match": {"path": "/**"}, "allow": "signed_in", "inject": "bearer"},
    ])
}

/// So many rules of the kinds that sites have, of which the last is for [`LAST`].
pub(crate) fn many(count: usize) -> Value {
    let mut rules: Vec<Value> = (1..count).map(crate::other_rules::other).collect();
    rules.push(json!({
        "match": {"paths": ["/artifacts/{workspace}/{repo}/**", "/x"]},
        "allow": "signed_in",
        "inject": "bearer",
    }));
    rules.into()
}
