//! What LFS is told about objects, and about locks, of which there are none.

use std::path::Path;

use serde_json::{Value, json};

use super::folder::objects_of;
use super::lfs_json;
use crate::bitbucket::{Granted, is_oid};
use crate::{Request, Response};

/// Seconds for which an object is said to be open.
const EXPIRES_IN: u64 = 3_600;

/// `objects/batch`: where objects are, or where they are to go.
pub(super) fn batch(repository: &Path, granted: &Granted, request: &Request) -> Response {
    let Ok(asked) = serde_json::from_slice::<Value>(request.body()) else {
        return lfs_json(422, &json!({"message": "expected JSON"}));
    };
    let is_upload = match asked["operation"].as_str() {
        Some("download") => false,
        Some("upload") => true,
        _ => return lfs_json(422, &json!({"message": "expected download or upload"})),
    };
    let speaks_basic = asked["transfers"]
        .as_array()
        .is_none_or(|transfers| transfers.iter().any(|transfer| transfer == "basic"));
    let (true, Some(objects)) = (speaks_basic, asked["objects"].as_array()) else {
        return lfs_json(
            422,
            &json!({"message": "expected basic transfer of objects"}),
        );
    };
    let objects = objects.iter().map(|object| {
        let oid = object["oid"].as_str().unwrap_or_default();
        let mut told = json!({"oid": oid, "size": object["size"]});
        let is_there = is_oid(oid) && objects_of(repository).join(oid).exists();
        match (is_oid(oid), is_upload, is_there) {
            (false, _, _) => told["error"] = json!({"code": 422, "message": "Not a SHA-256"}),
            (true, false, false) => {
                told["error"] = json!({"code": 404, "message": "Object does not exist"});
            }
            // Nothing is to be done.
            (true, true, true) => {}
            (true, false, true) => told["actions"] = json!({"download": action(granted, oid, "")}),
            (true, true, false) => {
                told["actions"] = json!({
                    "upload": action(granted, oid, ""),
                    "verify": action(granted, oid, "/verify"),
                });
            }
        }
        told
    });
    let objects: Vec<Value> = objects.collect();
    lfs_json(200, &json!({"transfer": "basic", "objects": objects}))
}

fn action(granted: &Granted, oid: &str, suffix: &str) -> Value {
    let repository = granted.repository.trim_matches(['{', '}']);
    json!({
        "href": format!("{}{suffix}", granted.media.href(repository, oid)),
        "header": {"Authorization": granted.media.authorization(repository, oid)},
        "expires_in": EXPIRES_IN,
    })
}

/// `locks`: there are none, and none can be made.
pub(super) fn locks(request: &Request) -> Response {
    match *request.method() {
        http::Method::GET => lfs_json(200, &json!({"locks": []})),
        _ => lfs_json(403, &json!({"message": "There are no locks here"})),
    }
}

/// `locks/verify`.
pub(super) fn no_locks() -> Response {
    lfs_json(200, &json!({"ours": [], "theirs": []}))
}
