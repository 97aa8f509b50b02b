//! Secrets: where one is to be found, and the thing itself.
//!
//! A source is exactly one of `{ env: NAME }`, `{ file: PATH }` and `{ value: … }`. It is resolved when something needs
//! it, so a command that needs no secret runs without any. Neither type ever shows the secret: not in `Debug`, not when
//! serialised, not in an error.

mod rotating;

use std::path::{Path, PathBuf};
use std::{fmt, io};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::setting::Text;

pub use rotating::RotatingSource;

/// What stands for a secret where something is shown.
pub(crate) const REDACTED: &str = "[redacted]";
const NOT_AFTER: &str = "not_after";
/// Where systemd shows a service its credentials.
const CREDENTIALS: &str = "/run/credentials";
const FORM: &str = "exactly one of `{ env: NAME }`, `{ file: PATH }` and `{ value: … }`";

/// A key, token or password in memory. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Where a secret comes from: exactly one of `{ env: NAME }`, `{ file: PATH }` and `{ value: … }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// The name of an environment variable.
    Env(String),
    /// The path of a file; one newline at its end does not count.
    File(PathBuf),
    /// The secret itself.
    #[serde(serialize_with = "redact")]
    Value(#[schemars(with = "String")] Secret),
}

/// Why a secret is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("{key}: the environment variable `{name}` is not set; set it, or name another source")]
    Unset { key: String, name: String },
    #[error("{key}: the environment variable `{name}` is not UTF-8; set it to plain text")]
    NotText { key: String, name: String },
    #[error("{key}: the file `{}` cannot be read; {}", path.display(), unreadable(path, source))]
    Unreadable {
        key: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{key}: the secret is empty; give it a value")]
    Empty { key: String },
    /// The variable holds something around the secret, or in its place.
    #[error("{key}: the environment variable `{name}` {what}")]
    Spoiled { key: String, name: String, what: &'static str },
}

impl SettingError {
    /// What is wrong and the fix, without the key.
    #[must_use]
    pub fn problem(&self) -> String {
        let text = match self {
            Self::Unreadable { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        };
        let (Self::Unset { key, .. }
        | Self::NotText { key, .. }
        | Self::Unreadable { key, .. }
        | Self::Empty { key }
        | Self::Spoiled { key, .. }) = self;
        text.strip_prefix(&format!("{key}: ")).unwrap_or(&text).to_owned()
    }
}

impl SecretSource {
    /// Fetches the secret. `key` is the setting that names this source, for example `lumo.api_key`.
    ///
    /// # Errors
    /// It is not there, cannot be read, or is empty.
    pub fn resolve(&self, key: &str) -> Result<Secret, SettingError> {
        let secret = match self {
            Self::Env(name) => {
                let value = std::env::var(name).map_err(|error| match error {
                    std::env::VarError::NotPresent => SettingError::Unset { key: key.to_owned(), name: name.clone() },
                    std::env::VarError::NotUnicode(_) => {
                        SettingError::NotText { key: key.to_owned(), name: name.clone() }
                    }
                })?;
                if let Some(what) = spoiled(&value) {
                    return Err(SettingError::Spoiled { key: key.to_owned(), name: name.clone(), what });
                }
                Secret(value)
            }
            Self::File(path) => {
                let mut text = std::fs::read_to_string(path).map_err(|source| SettingError::Unreadable {
                    key: key.to_owned(),
                    path: path.clone(),
                    source,
                })?;
                if text.ends_with('\n') {
                    text.pop();
                    if text.ends_with('\r') {
                        text.pop();
                    }
                }
                Secret(text)
            }
            Self::Value(secret) => secret.clone(),
        };
        if secret.0.is_empty() { Err(SettingError::Empty { key: key.to_owned() }) } else { Ok(secret) }
    }
}

/// What to do about a file that cannot be read.
fn unreadable(path: &Path, error: &io::Error) -> &'static str {
    if path.starts_with(CREDENTIALS) {
        not_given(error.kind(), path.parent().is_some_and(Path::is_dir))
    } else {
        "check the path and its permissions"
    }
}

/// What to do about a file that systemd did not give. Its folder is there while the service runs.
fn not_given(error: io::ErrorKind, is_folder_there: bool) -> &'static str {
    match error {
        io::ErrorKind::PermissionDenied => "systemd lets only the service and root read it",
        io::ErrorKind::NotFound if is_folder_there => {
            "systemd gives the files that were there when the service was started: restart it"
        }
        _ => "systemd gives this file only while the service runs",
    }
}

/// What is wrong with a variable that an env-file has set: tools differ in what they take for a part of the value.
fn spoiled(value: &str) -> Option<&'static str> {
    let is_within = |begin: &str, end: &str| value.len() > 1 && value.starts_with(begin) && value.ends_with(end);
    if is_within("\"", "\"") || is_within("'", "'") {
        Some("stands in quotes, which an env-file keeps; take them out")
    } else if value.starts_with(['\n', '\r']) || value.ends_with(['\n', '\r']) {
        Some("begins or ends with a line break; take it out")
    } else if is_within("${", "}") {
        Some("is `${…}`, which nothing has replaced; set it to the secret itself")
    } else {
        None
    }
}

fn redact<S: Serializer>(_: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(REDACTED)
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneSource { may_end: false }).map(|(source, _)| source)
    }
}

/// A source, and when its secret ends.
type Entry = (SecretSource, Option<DateTime<Utc>>);

/// By hand, because a derived one would quote a misplaced secret in its error.
struct OneSource {
    /// Whether `not_after` may stand beside the source.
    may_end: bool,
}

impl OneSource {
    fn misplaced<E: de::Error>() -> Result<Entry, E> {
        Err(E::custom(format_args!("is not the name of a source; write {FORM}")))
    }
}

impl<'de> Visitor<'de> for OneSource {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORM)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let (mut found, mut not_after) = (None, None);
        let mut keys = 0_usize;
        while let Some(key) = map.next_key::<String>()? {
            if self.may_end && key == NOT_AFTER {
                not_after = rotating::end(map.next_value()?)?;
                continue;
            }
            keys += 1;
            found = match key.as_str() {
                "env" => Some(SecretSource::Env(map.next_value::<Text>()?.to_string())),
                "file" => Some(SecretSource::File(PathBuf::from(map.next_value::<Text>()?.as_str()))),
                "value" => Some(SecretSource::Value(Secret(map.next_value::<Text>()?.to_string()))),
                _ => {
                    let end = if self.may_end { ", and beside it `not_after` if it ends" } else { "" };
                    return Err(de::Error::custom(format_args!("`{key}` is no source of a secret; write {FORM}{end}")));
                }
            };
        }
        match found {
            Some(source) if keys == 1 => Ok((source, not_after)),
            _ => Err(de::Error::custom(format_args!("names {keys} sources of one secret; write {FORM}"))),
        }
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Entry, E> {
        Self::misplaced()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Entry, E> {
        Self::misplaced()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Entry, E> {
        Self::misplaced()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Entry, E> {
        Self::misplaced()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Entry, E> {
        Self::misplaced()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(json: serde_json::Value) -> Result<SecretSource, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_comes_from_one_of_three_sources() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " from a file \r\n").unwrap();
        for (json, secret) in [
            (json!({ "value": "inline" }), "inline".to_owned()),
            (json!({ "file": file.path() }), " from a file ".to_owned()),
            (json!({ "env": "PATH" }), std::env::var("PATH").unwrap()),
        ] {
            assert_eq!(source(json).unwrap().resolve("lumo.api_key").unwrap().expose(), secret);
        }
    }

    #[test]
    fn only_one_newline_at_the_end_of_a_file_is_dropped() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a\n\n").unwrap();
        assert_eq!(SecretSource::File(file.path().into()).resolve("key").unwrap().expose(), "a\n");
    }

    #[test]
    fn what_is_not_to_be_had_names_the_key_and_the_fix() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        for (json, message) in [
            (
                json!({ "env": "LUMO_TEST_NO_SUCH_VARIABLE" }),
                "lumo.api_key: the environment variable `LUMO_TEST_NO_SUCH_VARIABLE` is not set; \
                 set it, or name another source",
            ),
            (
                json!({ "file": "/no/such/file" }),
                "lumo.api_key: the file `/no/such/file` cannot be read; check the path and its permissions",
            ),
            (
                json!({ "file": "/run/credentials/no-such.service/key" }),
                "lumo.api_key: the file `/run/credentials/no-such.service/key` cannot be read; \
                 systemd gives this file only while the service runs",
            ),
            (json!({ "file": empty.path() }), "lumo.api_key: the secret is empty; give it a value"),
            (json!({ "value": "" }), "lumo.api_key: the secret is empty; give it a value"),
        ] {
            assert_eq!(source(json).unwrap().resolve("lumo.api_key").unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn why_systemd_does_not_give_a_file_is_said() {
        for (error, is_folder_there, what) in [
            (io::ErrorKind::NotFound, false, "systemd gives this file only while the service runs"),
            (
                io::ErrorKind::NotFound,
                true,
                "systemd gives the files that were there when the service was started: restart it",
            ),
            (io::ErrorKind::PermissionDenied, true, "systemd lets only the service and root read it"),
        ] {
            assert_eq!(not_given(error, is_folder_there), what);
        }
    }

    #[test]
    fn what_an_env_file_adds_is_seen() {
        for (value, what) in [
            ("\"key\"", Some("stands in quotes")),
            ("'key'", Some("stands in quotes")),
            ("key\n", Some("begins or ends with a line break")),
            ("key\r", Some("begins or ends with a line break")),
            ("${LUMO_KEY}", Some("is `${…}`")),
            ("\"", None),
            ("a key", None),
            ("k'e'y", None),
        ] {
            let found = spoiled(value);
            assert!(found.is_some() == what.is_some() && found.unwrap_or_default().starts_with(what.unwrap_or("")));
        }
    }

    #[test]
    fn a_source_is_exactly_one_and_never_quoted() {
        for json in [
            json!({}),
            json!({ "env": "A", "file": "B" }),
            json!({ "vault": "hunter2" }),
            json!("hunter2"),
            json!(["hunter2"]),
            json!(null),
            json!({ "value": 123_456 }),
        ] {
            let error = source(json).unwrap_err();
            assert!(!error.contains("hunter2") && !error.contains("123456"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let source = source(json!({ "value": "hunter2" })).unwrap();
        assert_eq!(format!("{source:?}"), "Value([redacted])");
        assert_eq!(serde_json::to_string(&source).unwrap(), r#"{"value":"[redacted]"}"#);
        assert_eq!(format!("{:?}", source.resolve("key").unwrap()), "[redacted]");
    }
}
