//! An address that may carry a password: written down, or kept where secrets are.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::secret::{Secret, SecretSource, SettingError};
use super::shown_url::shown_url;

/// The text of an address, or the source of a secret that is one. It is never shown with a password or a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlSource(SecretSource);

impl UrlSource {
    /// Fetches the address. `key` is the setting that names this source.
    ///
    /// # Errors
    /// It is not there, cannot be read, or is empty.
    pub fn resolve(&self, key: &str) -> Result<Secret, SettingError> {
        self.0.resolve(key)
    }

    /// Whether the address itself stands in the configuration.
    #[must_use]
    pub const fn is_written_down(&self) -> bool {
        matches!(self.0, SecretSource::Value(_))
    }
}

impl From<&str> for UrlSource {
    fn from(url: &str) -> Self {
        Self(SecretSource::Value(url.to_owned().into()))
    }
}

/// The address, or where it comes from.
impl fmt::Display for UrlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            SecretSource::Env(name) => write!(f, "{{ env: {name} }}"),
            SecretSource::File(path) => write!(f, "{{ file: {} }}", path.display()),
            SecretSource::Value(url) => f.write_str(&shown_url(url.expose())),
        }
    }
}

impl Serialize for UrlSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            SecretSource::Value(url) => serializer.serialize_str(&shown_url(url.expose())),
            source => source.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for UrlSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrSource).map(Self)
    }
}

/// What is wrong is not quoted: it may be a password.
struct TextOrSource;

impl<'de> Visitor<'de> for TextOrSource {
    type Value = SecretSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a url, or where it is kept: `{ env: NAME }` or `{ file: PATH }`")
    }

    fn visit_str<E: de::Error>(self, url: &str) -> Result<SecretSource, E> {
        Ok(SecretSource::Value(url.to_owned().into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretSource, A::Error> {
        SecretSource::deserialize(MapAccessDeserializer::new(map))
    }
}

impl JsonSchema for UrlSource {
    fn schema_name() -> Cow<'static, str> {
        "UrlSource".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = SecretSource::json_schema(generator);
        json_schema!({ "anyOf": [{ "type": "string" }, source] })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_is_a_text_or_a_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "http://me:hunter2@proxy:3128\n").unwrap();
        let url = "http://me:hunter2@proxy:3128";
        for (json, shown) in [
            (json!(url), json!("http://me:***@proxy:3128")),
            (json!({ "value": url }), json!("http://me:***@proxy:3128")),
            (json!({ "file": file.path() }), json!({ "file": file.path() })),
        ] {
            let source: UrlSource = serde_json::from_value(json).unwrap();
            assert_eq!(source.resolve("key").unwrap().expose(), url);
            assert_eq!(serde_json::to_value(&source).unwrap(), shown);
            assert!(!format!("{source} {source:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_address_is_not_quoted() {
        for json in [json!(4_711_815), json!(["hunter2"]), json!({ "vault": "hunter2" }), json!(null)] {
            let error = serde_json::from_value::<UrlSource>(json).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
