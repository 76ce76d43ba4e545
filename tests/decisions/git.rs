//! What git asks of a repository, and what is nearly that.

use serde_json::{Value, json};

use crate::draw::Draw;

/// Paths of repositories, below a folder.
pub const TEMPLATES: [&str; 8] = [
    "/{workspace}/{repo}.git",
    "/{workspace}/{repo}",
    "/{workspace}/{repo}.git",
    "/acme/widgets.git",
    "/acme/gad.gets",
    "/git/{workspace}/{repo}.git",
    "/{repo}.git",
    "/pkg/{workspace}/r-{repo}",
];

/// `read`, `write`, `lfs`, or some of them.
pub fn words(draw: &mut Draw) -> Value {
    match draw.below(7) {
        0 | 1 => json!("read"),
        2 | 3 => json!("write"),
        4 => json!(["lfs"]),
        5 => json!(["read", "lfs"]),
        _ => json!(["write", "read"]),
    }
}

/// What each word is about.
const GOOD: [(&str, &str, &str); 8] = [
    ("read", "GET", "/info/refs?service=git-upload-pack"),
    ("read", "POST", "/git-upload-pack"),
    ("write", "GET", "/info/refs?service=git-receive-pack"),
    ("write", "POST", "/git-receive-pack"),
    ("lfs", "POST", "/info/lfs/objects/batch"),
    ("lfs", "POST", "/info/lfs/locks"),
    ("lfs", "POST", "/info/lfs/locks/verify"),
    ("lfs", "POST", "/info/lfs/locks/17/unlock"),
];

/// Most of them are no rule's with `git`. The first ones are of the locks, too.
const ODD: [(&str, &str); 52] = [
    ("GET", "/info/lfs/locks"),
    ("GET", "/info/lfs/locks?path=a.bin&limit=10"),
    ("GET", "/info/lfs/locks/"),
    ("DELETE", "/info/lfs/locks/17"),
    ("POST", "/info/lfs/locks/info/lfs/locks"),
    ("POST", "/info/lfs/locksmith"),
    ("POST", "/info/lfs/objects/batch?x=1"),
    ("POST", "/info/lfs/objects/batch/"),
    ("GET", "/info/lfs/objects/batch"),
    ("PUT", "/info/lfs/objects/batch"),
    ("PUT", "/info/lfs/objects/0123456789abcdef"),
    ("POST", "/info/lfs/objects"),
    ("POST", "/info/lfs/verify"),
    // The protocol that reads files one by one.
    ("GET", "/info/refs"),
    ("GET", "/HEAD"),
    ("GET", "/objects/info/packs"),
    ("GET", "/objects/ab/cdef0123456789"),
    // Other services, and other methods.
    ("GET", "/info/refs?service=git-upload-archive"),
    ("POST", "/git-upload-archive"),
    ("HEAD", "/info/refs?service=git-upload-pack"),
    ("POST", "/info/refs?service=git-upload-pack"),
    ("POST", "/info/refs?service=git-receive-pack"),
    ("OPTIONS", "/info/refs?service=git-upload-pack"),
    ("GET", "/git-upload-pack"),
    ("GET", "/git-receive-pack"),
    ("PUT", "/git-receive-pack"),
    // Nearly git's own query.
    ("GET", "/info/refs?"),
    ("GET", "/info/refs?service"),
    ("GET", "/info/refs?service="),
    ("GET", "/info/refs?service=upload-pack"),
    ("GET", "/info/refs?service=git-upload-pack&"),
    ("GET", "/info/refs?&service=git-upload-pack"),
    ("GET", "/info/refs?service=git-upload-pack&x=1"),
    ("GET", "/info/refs?x=1&service=git-receive-pack"),
    (
        "GET",
        "/info/refs?service=git-upload-pack&service=git-receive-pack",
    ),
    (
        "GET",
        "/info/refs?service=git-receive-pack&service=git-upload-pack",
    ),
    ("GET", "/info/refs?service=git-upload%2Dpack"),
    ("GET", "/info/refs?%73ervice=git-receive-pack"),
    ("GET", "/info/refs?service=git-upload-pack;x"),
    ("GET", "/info/refs?service=git-upload-pack?"),
    ("GET", "/info/refs??service=git-upload-pack"),
    ("GET", "/info/refs?SERVICE=git-upload-pack"),
    ("GET", "/info/refs?service=GIT-RECEIVE-PACK"),
    ("POST", "/git-upload-pack?service=git-receive-pack"),
    ("POST", "/git-receive-pack?"),
    // The path in another spelling.
    ("GET", "/%69nfo/refs?service=git-upload-pack"),
    ("POST", "/git%2dreceive-pack"),
    ("GET", "/info%2frefs?service=git-upload-pack"),
    ("GET", "/info/refs;x?service=git-receive-pack"),
    ("GET", "/info/refs/?service=git-upload-pack"),
    ("GET", "//info/refs?service=git-upload-pack"),
    ("POST", "/Git-Upload-Pack"),
];

/// A request for the repository at a path, most often one that is meant by `wanted`: the method, and the target.
pub fn request(path: &str, wanted: &Value, draw: &mut Draw) -> (&'static str, String) {
    let bare = path.strip_suffix(".git").unwrap_or(path);
    let end = match draw.below(16) {
        0 => ".git.git",
        1 => ".GIT",
        2 => ".git/x",
        3 => "%2egit",
        4..8 => "",
        _ => ".git",
    };
    let (method, ending) = match draw.is_one_of_100(70) {
        true => good(wanted, draw),
        false => ODD[draw.below(ODD.len())],
    };
    (method, format!("{bare}{end}{ending}"))
}

fn good(wanted: &Value, draw: &mut Draw) -> (&'static str, &'static str) {
    let is_wanted = |word: &str| {
        let mut words = wanted.as_array().into_iter().flatten();
        wanted == word || words.any(|one| one == word)
    };
    let mut found = GOOD[draw.below(GOOD.len())];
    for _ in 0..3 {
        if !is_wanted(found.0) {
            found = GOOD[draw.below(GOOD.len())];
        }
    }
    (found.1, found.2)
}
