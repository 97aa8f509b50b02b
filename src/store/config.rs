//! Section `database`: which database the `lumo_` tables are kept in.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::setting::{self, Malformed, Text};

const MASK: &str = "***";

/// The merchant's own database.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// `sqlite://…`, `postgres://…` or `mysql://…`.
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
#[schemars(with = "String")]
pub struct DatabaseUrl {
    url: String,
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
    /// The password is masked wherever a driver would look for one: before the host and in the query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.backend == Backend::Sqlite {
            return f.write_str(&self.url);
        }
        let Ok(mut url) = Url::parse(&self.url) else { return f.write_str(MASK) };
        if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
            return f.write_str(MASK);
        }
        if let Some(query) = url.query() {
            let masked: Vec<_> = query
                .split('&')
                .map(|pair| match pair.split_once('=') {
                    Some((name, _)) if name.to_ascii_lowercase().contains("password") => format!("{name}={MASK}"),
                    _ => pair.to_owned(),
                })
                .collect();
            url.set_query(Some(&masked.join("&")));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (text, backend, shown) in [
            ("sqlite://lumo-bridge.db", Backend::Sqlite, "sqlite://lumo-bridge.db"),
            ("sqlite::memory:", Backend::Sqlite, "sqlite::memory:"),
            ("postgres://me:hunter2@db/shop", Backend::Postgres, "postgres://me:***@db/shop"),
            ("postgresql://me@db/shop", Backend::Postgres, "postgresql://me@db/shop"),
            (
                "mysql://me:hunter2@db:3306/shop?ssl-mode=required",
                Backend::MySql,
                "mysql://me:***@db:3306/shop?ssl-mode=required",
            ),
            (
                "postgres://db/shop?user=me&password=hunter2",
                Backend::Postgres,
                "postgres://db/shop?user=me&password=***",
            ),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.backend(), backend);
            assert_eq!(url.expose(), text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }

    #[test]
    fn what_is_no_database_is_refused_without_quoting_it() {
        for text in ["lumo-bridge.db", "mongodb://me:hunter2@db", "postgres://me:hunter2@db:port/shop", ""] {
            let error = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
