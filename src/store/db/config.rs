//! Section `database`: which database the `lumo_` tables are kept in.

mod url;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::{self, Text};

pub use url::{Backend, DatabaseUrl, is_full};

/// The merchant's own database.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// `sqlite://…`, `postgres://…` or `mysql://…`; or `{ env: NAME }` or `{ file: PATH }`, which hold it.
    pub url: DatabaseUrl,
    /// PostgreSQL: keep the tables in this schema.
    pub schema: Option<Text>,
    /// Most connections to open.
    #[serde(deserialize_with = "setting::whole")]
    #[schemars(range(min = 1))]
    pub max_connections: u32,
    /// Bring the schema up to date when the daemon starts.
    pub migrate: bool,
}
