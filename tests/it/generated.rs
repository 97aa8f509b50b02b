//! Files that are made from the code are what the code makes of them now.
//!
//! `LUMO_TEST_WRITE=1 cargo test --test it -- generated` writes them anew.

use std::fs;
use std::path::Path;

use lumo_bridge::config::Config;

/// Compares a file with what it should be, or writes it if that is asked for.
fn assert_current(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("LUMO_TEST_WRITE").is_some() {
        fs::write(&file, text).unwrap();
        return;
    }
    let stored = fs::read_to_string(&file).unwrap_or_default();
    let differs = stored.lines().zip(text.lines()).position(|(stored, made)| stored != made);
    let line = differs.unwrap_or_else(|| stored.lines().count().min(text.lines().count())) + 1;
    assert!(
        stored == text,
        "{path} is out of date from line {line} on: run `LUMO_TEST_WRITE=1 cargo test --test it -- generated`"
    );
}

#[test]
fn the_schema_of_the_configuration() {
    let schema = serde_json::to_string_pretty(&Config::schema()).unwrap();
    assert_current("config/lumo-bridge.schema.json", &format!("{schema}\n"));
}

#[test]
fn the_starter_file_names_the_schema_beside_it() {
    let starter = lumo_bridge::config::starter();
    let named = starter.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=").unwrap();
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(named).exists(), "{named}");
}
