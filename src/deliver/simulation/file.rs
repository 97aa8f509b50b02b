//! Makes the SQLite file of one simulation: a copy of a file with empty tables, in memory if possible.

use std::sync::OnceLock;

use crate::store::{Config, Store, schema};

pub(super) fn config(url: &str) -> Config {
    Config { url: url.parse().unwrap(), schema: None, max_connections: 4, migrate: false }
}

/// A database file with empty tables.
pub(super) async fn template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(bytes) = TEMPLATE.get() {
        return bytes;
    }
    let directory = tempfile::tempdir_in(folder()).unwrap();
    let path = directory.path().join("template.db");
    let config = config(&format!("sqlite://{}", path.display()));
    schema::up(&config).await.unwrap();
    // The last connection to close folds the log into the file.
    Store::open(&config, Vec::new()).await.unwrap().close().await;
    let bytes = std::fs::read(&path).unwrap();
    TEMPLATE.get_or_init(|| bytes)
}

/// A folder in memory, if there is one.
pub(super) fn folder() -> std::path::PathBuf {
    let shared = std::path::Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() }
}
