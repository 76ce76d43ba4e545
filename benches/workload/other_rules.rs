//! Rules beside those that requests meet, for benchmarks of many.

use serde_json::{Value, json};

/// One of the kinds that sites have, which changes with its `number`.
pub(crate) fn other(number: usize) -> Value {
    match number % 4 {
        0 => json!({"match": {"path": format!("/team-{number}/**")}, "allow": "signed_in"}),
        1 => json!({
            "match": {"path": format!("/api/v{number}/{{id}}"), "methods": ["GET", "HEAD"]},
            "allow": {"workspace": "acme"},
        }),
        2 => json!({
            "match": {"paths": [format!("/{{team}}/area-{number}/**"), format!("/x{number}/y")]},
            "allow": "nobody",
        }),
        _ => json!({"match": {"path": format!("/files/{{name}}.v{number}")}, "allow": "signed_in"}),
    }
}
