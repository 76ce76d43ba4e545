//! Every seed of every target: what once was found stays found.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use bitgate_fuzz::TARGETS;

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_target_has_seeds_and_every_folder_a_target() {
    let folders = entries(&seeds());
    let folders = folders.iter().map(|path| path.file_name().unwrap());
    let folders: BTreeSet<_> = folders.map(|name| name.to_str().unwrap()).collect();
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(folders, names);
    for name in names {
        assert!(!entries(&seeds().join(name)).is_empty(), "{name}");
    }
}

#[test]
fn every_seed_holds() {
    let mut failed = Vec::new();
    for target in TARGETS {
        for path in entries(&seeds().join(target.name)) {
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.len() < 65_536, "{} is large", path.display());
            if catch_unwind(|| (target.run)(&bytes)).is_err() {
                failed.push(path);
            }
        }
    }
    assert!(failed.is_empty(), "these do not hold: {failed:#?}");
}
