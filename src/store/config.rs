//! Section `database`: which database the `lumo_` tables are kept in.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::setting::{Malformed, Text};

/// The merchant's own database.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// `sqlite://…`, `postgres://…` or `mysql://…`.
    pub url: DatabaseUrl,
    /// PostgreSQL: keep the tables in this schema.
    pub schema: Option<Text>,
    /// Most connections to open.
    #[schemars(range(min = 1))]
    pub max_connections: u32,
    /// Bring the schema up to date when the daemon starts.
    pub migrate: bool,
}

/// The kinds of database that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    Sqlite,
    Postgres,
    MySql,
}

/// The url of a database. It is never shown with its password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseUrl {
    #[schemars(skip)]
    url: String,
    #[schemars(skip)]
    backend: Backend,
}

impl DatabaseUrl {
    /// The url with its password, for whoever connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// Which kind of database it is.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        self.backend
    }
}

impl FromStr for DatabaseUrl {
    type Err = Malformed;

    /// What is refused is not quoted: it may carry a password.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let backend = match text.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Backend::Sqlite,
            Some("postgres" | "postgresql") => Backend::Postgres,
            Some("mysql" | "mariadb") => Backend::MySql,
            _ => {
                return Err(Malformed::new(
                    "is no known kind of database; begin with `sqlite://`, `postgres://` or `mysql://`",
                ));
            }
        };
        if backend != Backend::Sqlite && Url::parse(text).is_err() {
            return Err(Malformed::new(
                "is not a url; write `scheme://user:password@host/database`, special characters as %XX",
            ));
        }
        Ok(Self { url: text.to_owned(), backend })
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(mut url) = Url::parse(&self.url) else { return f.write_str("***") };
        if url.password().is_some() && url.set_password(Some("***")).is_err() {
            return f.write_str("***");
        }
        url.fmt(f)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<DatabaseUrl> for String {
    fn from(url: DatabaseUrl) -> Self {
        url.to_string()
    }
}
