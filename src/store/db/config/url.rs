//! Parses the url of the database as its driver does, and never shows its password or a parameter.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, fs, io};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use url::Url;

use crate::setting::{Malformed, SettingError, UrlSource, create_private, shown_url, without_values};

/// The supported kinds of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    Sqlite,
    Postgres,
    MySql,
}

/// The url of a database. It is never shown with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: String,
    backend: Backend,
    /// Where the configuration takes it from.
    source: UrlSource,
}

impl DatabaseUrl {
    /// The url with its password, for connecting.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// The url with the scheme that the drivers accept.
    pub(in crate::store) fn driver_url(&self) -> String {
        match self.url.strip_prefix("mariadb:") {
            Some(rest) => format!("mysql:{rest}"),
            None => self.url.clone(),
        }
    }

    /// Which kind of database it is.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// The folder of an SQLite file.
    fn folder(&self) -> Option<PathBuf> {
        if self.backend != Backend::Sqlite {
            return None;
        }
        let options = self.url.parse::<SqliteConnectOptions>().ok()?;
        let file = std::path::absolute(options.get_filename()).ok()?;
        file.parent().map(Path::to_owned)
    }

    /// The folder of an SQLite file, if it does not exist.
    #[must_use]
    pub fn missing_folder(&self) -> Option<PathBuf> {
        self.folder().filter(|folder| !folder.exists())
    }

    /// The folder of an SQLite file, and why no file of 1 MiB can be made in it, if none can. Makes one and removes it.
    #[must_use]
    pub fn unwritable_folder(&self) -> Option<(PathBuf, io::Error)> {
        let folder = self.folder()?;
        let probe = folder.join(format!(".lumo-bridge-{:016x}", rand::random::<u64>()));
        let made = create_private(&probe).and_then(|mut file| {
            let written = file.write_all(&vec![0_u8; PROBE_BYTES]);
            fs::remove_file(&probe).and(written)
        });
        made.err().map(|error| (folder, error))
    }

    /// The folder of an SQLite file and the system's error, if its disk is full.
    #[must_use]
    pub fn full_folder(&self) -> Option<(PathBuf, io::Error)> {
        self.unwritable_folder().filter(|(_, error)| is_full(error))
    }

    /// The names of the parameters that the driver ignores.
    #[must_use]
    pub fn unknown_parameters(&self) -> Vec<String> {
        let known: &[&str] = match self.backend {
            // SQLite's driver refuses unknown parameters.
            Backend::Sqlite => return Vec::new(),
            Backend::Postgres => POSTGRES_PARAMETERS,
            Backend::MySql => MYSQL_PARAMETERS,
        };
        let Ok(url) = Url::parse(&self.url) else { return Vec::new() };
        let names = url.query_pairs().map(|(name, _)| name.into_owned());
        names.filter(|name| !known.contains(&name.as_str()) && !name.starts_with("options[")).collect()
    }
}

/// Whether there was no room to write.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A disk without this much room is full: the log of SQLite soon takes more.
const PROBE_BYTES: usize = 1024 * 1024;

const POSTGRES_PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
const MYSQL_PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "charset",
    "collation",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "socket",
    "timezone",
    "time-zone",
];

impl FromStr for DatabaseUrl {
    type Err = Malformed;

    /// An invalid url is not quoted: it may contain a password.
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
        if backend != Backend::Sqlite {
            check_server(text)?;
        }
        if driver(text, backend).is_err() {
            return Err(Malformed::new(refusal(text)));
        }
        Ok(Self { url: text.to_owned(), backend, source: UrlSource::from(text) })
    }
}

/// Checks the text before a driver parses it: a `/`, `?` or `#` in the password would end the host, and the rest would
/// count as a path.
fn check_server(text: &str) -> Result<(), Malformed> {
    let after = text.split_once("://").map(|(_, after)| after).unwrap_or_default();
    if after.rsplit_once('@').is_some_and(|(before, _)| before.contains(['/', '?', '#'])) {
        return Err(Malformed::new(
            "has a `/`, `?` or `#` before its last `@`; percent-encode these characters in the user, the password and \
             the parameters: `%` is %25, `/` is %2F, `?` is %3F, `#` is %23, `@` is %40",
        ));
    }
    let form = "is not a url; write `scheme://user:password@host/database`, special characters as %XX";
    Url::parse(text).map(drop).map_err(|_| Malformed::new(form))
}

/// Parses the url as it is parsed for a connection.
fn driver(text: &str, backend: Backend) -> Result<(), sqlx::Error> {
    match backend {
        Backend::Sqlite => text.parse::<SqliteConnectOptions>().map(drop),
        Backend::Postgres => text.parse::<PgConnectOptions>().map(drop),
        Backend::MySql => text.parse::<MySqlConnectOptions>().map(drop),
    }
}

/// Names the parameters that the driver refuses. The driver's own message would quote their values.
fn refusal(text: &str) -> String {
    let query = text.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let names: Vec<_> =
        query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "cannot be read by the driver; write special characters as %XX, in UTF-8".to_owned(),
        names => format!(
            "has a parameter that the driver does not know, or with a value that it does not take, among {}; correct it, \
             or take it out",
            names.join(", ")
        ),
    }
}

impl fmt::Display for DatabaseUrl {
    /// A path is shown as absolute, because what it is relative to differs between shells.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.backend != Backend::Sqlite {
            return f.write_str(&shown_url(&self.url));
        }
        let shown = without_values(&self.url);
        let place = shown.trim_start_matches("sqlite:").trim_start_matches("//");
        let path = place.split_once('?').map_or(place, |(path, _)| path);
        match std::path::absolute(path) {
            Ok(absolute) if path != ":memory:" => {
                write!(f, "sqlite://{}{}", absolute.display(), place.strip_prefix(path).unwrap_or_default())
            }
            _ => f.write_str(&shown),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As it is written in the configuration.
impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

/// A secret source is resolved here, because nothing can be checked without the url.
impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = UrlSource::deserialize(deserializer)?;
        let url = source.resolve("").map_err(|error| de::Error::custom(SettingError::problem(&error)))?;
        let url: Self = url.expose().parse().map_err(de::Error::custom)?;
        Ok(Self { source, ..url })
    }
}

impl JsonSchema for DatabaseUrl {
    fn schema_name() -> Cow<'static, str> {
        "DatabaseUrl".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        UrlSource::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (text, backend, shown) in [
            ("sqlite:///srv/lumo-bridge.db?mode=rwc", Backend::Sqlite, "sqlite:///srv/lumo-bridge.db?mode=***"),
            ("sqlite::memory:", Backend::Sqlite, "sqlite::memory:"),
            ("postgres://me:hunter2@db/shop", Backend::Postgres, "postgres://me:***@db/shop"),
            ("postgres://me:hun@ter2@db/shop", Backend::Postgres, "postgres://me:***@db/shop"),
            ("postgresql://me@db/shop", Backend::Postgres, "postgresql://me@db/shop"),
            (
                "mysql://me:hunter2@db:3306/shop?ssl-mode=required",
                Backend::MySql,
                "mysql://me:***@db:3306/shop?ssl-mode=***",
            ),
            (
                "postgres://db/shop?user=me&password=hunter2",
                Backend::Postgres,
                "postgres://db/shop?user=***&password=***",
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
    fn a_relative_path_is_shown_from_the_root_on_and_kept_as_it_is() {
        let url: DatabaseUrl = "sqlite://data/lumo.db?mode=rwc".parse().unwrap();
        let here = std::env::current_dir().unwrap();
        assert_eq!(url.to_string(), format!("sqlite://{}/data/lumo.db?mode=***", here.display()));
        assert_eq!(url.expose(), "sqlite://data/lumo.db?mode=rwc");
        assert_eq!(serde_json::to_value(&url).unwrap(), json!("sqlite://data/lumo.db?mode=***"));
    }

    #[test]
    fn whether_a_folder_can_be_written_is_tried_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let unwritable = |path: &Path| {
            let url: DatabaseUrl = format!("sqlite://{}", path.join("lumo.db").display()).parse().unwrap();
            url.unwritable_folder().map(|(folder, _)| folder)
        };
        assert_eq!(unwritable(folder.path()), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        for (kind, full) in [
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::QuotaExceeded, true),
            (io::ErrorKind::PermissionDenied, false),
        ] {
            assert_eq!(is_full(&kind.into()), full, "{kind}");
        }
        let missing = folder.path().join("no");
        assert_eq!(unwritable(&missing), Some(missing));
        let server: DatabaseUrl = "postgres://db/shop".parse().unwrap();
        assert!(server.unwritable_folder().is_none());
    }

    #[test]
    fn what_is_no_database_is_refused_without_quoting_it() {
        for (text, problem) in [
            ("lumo-bridge.db", "is no known kind of database"),
            ("mongodb://me:hunter2@db", "is no known kind of database"),
            ("postgres://me:hunter2@db:port/shop", "is not a url"),
            ("", "is no known kind of database"),
            ("postgres://me:hun/ter2@db/shop", "has a `/`, `?` or `#` before its last `@`; percent-encode these"),
            ("mysql://me:12/hunter2@x@db/shop", "has a `/`, `?` or `#` before its last `@`; percent-encode these"),
            ("postgres://me:hun#ter2@db/shop", "has a `/`, `?` or `#` before its last `@`; percent-encode these"),
            ("postgres://me:x@db/shop?sslmode=hunter2", "has a parameter that the driver does not know"),
            ("sqlite://a.db?hunter=hunter2", "has a parameter that the driver does not know"),
        ] {
            let error = text.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(error.starts_with(problem) && !error.contains("hunter2") && !error.contains("ter2"), "{error}");
        }
    }

    #[test]
    fn parameters_that_the_driver_passes_over_are_known_by_name() {
        let url: DatabaseUrl = "postgres://db/shop?sslmode=prefer&pgbouncer=true&options[a]=b".parse().unwrap();
        assert_eq!(url.unknown_parameters(), ["pgbouncer"]);
        let url: DatabaseUrl = "mysql://db/shop?ssl-mode=preferred&pool=7".parse().unwrap();
        assert_eq!(url.unknown_parameters(), ["pool"]);
    }

    #[test]
    fn a_url_may_be_kept_where_secrets_are() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "postgres://me:hunter2@db/shop\n").unwrap();
        let url: DatabaseUrl = serde_json::from_value(json!({ "file": file.path() })).unwrap();
        assert_eq!(url.expose(), "postgres://me:hunter2@db/shop");
        assert_eq!(serde_json::to_value(&url).unwrap(), json!({ "file": file.path() }));
        assert_eq!(url.to_string(), "postgres://me:***@db/shop");
        let missing = json!({ "env": "LUMO_TEST_NO_SUCH_VARIABLE" });
        let error = serde_json::from_value::<DatabaseUrl>(missing).unwrap_err().to_string();
        assert!(error.starts_with("the environment variable `LUMO_TEST_NO_SUCH_VARIABLE` is not set; "), "{error}");
    }

    proptest! {
        #[test]
        fn a_password_is_shown_in_no_way(password in "\\PC{4,30}", scheme in "postgres|mysql") {
            let text = format!("{scheme}://shop:{password}@db.internal:5432/orders");
            let said = match text.parse::<DatabaseUrl>() {
                Ok(url) => format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap()),
                Err(error) => {
                    prop_assert!(error.to_string().contains("%"), "{error}");
                    error.to_string()
                }
            };
            let empty = format!("{scheme}://shop:@db.internal:5432/orders").parse::<DatabaseUrl>().unwrap();
            let around = format!("{empty} has a `/`, `?` or `#` before its last `@`; user:password@host");
            let letters: Vec<char> = password.chars().collect();
            for part in letters.windows(4).map(|part| part.iter().collect::<String>()) {
                prop_assert!(!said.contains(&part) || around.contains(&part), "{said}");
            }
        }
    }
}
