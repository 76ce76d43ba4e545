//! Imports run only downwards, and files stay small.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "tests: a failed expectation is a failed test"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest to the highest. Modules of one layer may not import each other, except that the
/// words may import the words before them.
const LAYERS: [&[&str]; 10] = [
    &[
        "time", "secret", "sorted", "json", "host", "identity", "slots",
    ],
    &["http"],
    &["oauth", "jose"],
    &["session", "policy"],
    &["bitbucket"],
    &["rights", "issuers"],
    &["config"],
    &["gate"],
    &["adapter"],
    &["bin"],
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The module that a file belongs to: `gate` for `src/gate/login.rs`.
fn module_of(path: &Path) -> String {
    let first = path
        .strip_prefix(src())
        .unwrap()
        .components()
        .next()
        .unwrap();
    first
        .as_os_str()
        .to_str()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned()
}

fn layer_of(module: &str) -> usize {
    let layer = LAYERS.iter().position(|layer| layer.contains(&module));
    layer.unwrap_or_else(|| panic!("{module} is in no layer"))
}

/// Every `crate::module` that a file names, in its code.
fn imports(text: &str) -> Vec<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let named = code.flat_map(|line| {
        line.split("crate::")
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let word = |rest: String| {
        rest.split(|c: char| !c.is_ascii_lowercase())
            .next()
            .unwrap()
            .to_owned()
    };
    named
        .map(word)
        .filter(|name| LAYERS.iter().any(|layer| layer.contains(&name.as_str())))
        .collect()
}

#[test]
fn imports_run_only_downwards() {
    let mut checked = 0;
    for path in sources(&src()) {
        let importer = module_of(&path);
        if importer == "lib" {
            continue;
        }
        for imported in imports(&fs::read_to_string(&path).unwrap()) {
            checked += 1;
            let (from, to) = (layer_of(&importer), layer_of(&imported));
            let within_words = from == 0 && to == 0;
            assert!(
                imported == importer || to < from || within_words,
                "{}: {importer} imports {imported}",
                path.display()
            );
        }
    }
    assert!(checked > 100, "the test reads imports: {checked}");
}

#[test]
fn only_the_adapter_and_the_command_name_the_host() {
    for path in sources(&src()) {
        let text = fs::read_to_string(&path).unwrap();
        let names_host = [
            "proxy_wasm::",
            "getrandom::",
            "std::env::",
            "SystemTime",
            "Instant::now",
        ]
        .iter()
        .any(|name| {
            text.lines()
                .any(|line| !line.trim_start().starts_with("//") && line.contains(name))
        });
        assert!(
            !names_host || ["adapter", "bin"].contains(&module_of(&path).as_str()),
            "{}",
            path.display()
        );
    }
}

#[test]
fn no_file_is_long() {
    for path in sources(&src()) {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\n#[expect").next().unwrap();
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
        assert!(code.lines().count() <= 400, "{}", path.display());
    }
}
