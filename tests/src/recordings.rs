//! Recorded traffic of providers. It lies beside the checkout and is no part of the project: a checkout
//! alone has none to read, and a test that finds none says so. What recordings are like in kind is in
//! `tests/fixtures`, which is always read.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Where they would lie.
const BESIDE: &str = "../shared/cassettes";

/// The tests that have said what they miss: once is enough.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A file or folder among them; none, and said, where there is none.
pub fn find(below: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(BESIDE).join(below);
    if found.exists() {
        return Some(found);
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    if SAID.lock().expect("nobody panics with it").insert(test.to_owned()) {
        // Not by `eprintln!`, which is kept from whoever watches as long as a test passes.
        let said = format!("NOT CHECKED: {test} has no {BESIDE}/{below} to read\n");
        std::io::stderr().write_all(said.as_bytes()).expect("standard error is open");
    }
    None
}

/// The files of a folder of them, in order; none, and said, where there is none.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let Some(folder) = find(folder) else { return Vec::new() };
    let files = std::fs::read_dir(folder).expect("a folder can be read");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a folder can be read").path()).collect();
    files.sort();
    files
}
