//! A secret that is being exchanged: beside its source it may say when it ends.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::{NOT_AFTER, OneSource, REDACTED, SecretSource};
use crate::setting::{Text, storable};

/// A source of a secret, and when the secret ends: `{ env: NAME, not_after: 2030-06-01T00:00:00Z }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatingSource {
    pub source: SecretSource,
    /// From this moment the secret counts no longer; none if it has no end.
    pub not_after: Option<DateTime<Utc>>,
}

impl<'de> Deserialize<'de> for RotatingSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (source, not_after) = deserializer.deserialize_any(OneSource { may_end: true })?;
        Ok(Self { source, not_after })
    }
}

/// Reads the time; nothing under the key is as good as no key.
pub(super) fn end<E: de::Error>(text: Option<Text>) -> Result<Option<DateTime<Utc>>, E> {
    let parse = |text: &Text| {
        text.parse().map(storable).map_err(|_| {
            E::custom(format_args!("`{NOT_AFTER}` is not a time; write for example `2030-06-01T00:00:00Z`"))
        })
    };
    text.as_ref().map(parse).transpose()
}

impl Serialize for RotatingSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.source {
            SecretSource::Env(name) => map.serialize_entry("env", name)?,
            SecretSource::File(path) => map.serialize_entry("file", path)?,
            SecretSource::Value(_) => map.serialize_entry("value", REDACTED)?,
        }
        if let Some(end) = self.not_after {
            map.serialize_entry(NOT_AFTER, &end.to_rfc3339_opts(SecondsFormat::AutoSi, true))?;
        }
        map.end()
    }
}

/// That of the source, with one more member in each of its shapes.
impl JsonSchema for RotatingSource {
    fn schema_name() -> Cow<'static, str> {
        "RotatingSource".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = SecretSource::json_schema(generator);
        let end = json_schema!({
            "description": "From this moment the secret no longer signs.",
            "type": "string",
            "format": "date-time",
        });
        let shapes = schema.get_mut("oneOf").and_then(|shapes| shapes.as_array_mut());
        for shape in shapes.into_iter().flatten() {
            if let Some(members) = shape.get_mut("properties").and_then(|members| members.as_object_mut()) {
                members.insert(NOT_AFTER.to_owned(), end.clone().to_value());
            }
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(json: Value) -> Result<RotatingSource, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn an_end_stands_beside_the_source_and_is_written_back() {
        let entry = json!({ "env": "A", "not_after": "2026-01-01T00:00:00Z" });
        let source = read(entry.clone()).unwrap();
        assert_eq!(source.source, SecretSource::Env("A".to_owned()));
        assert_eq!(source.not_after, "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!(serde_json::to_value(&source).unwrap(), entry);
        let zoned = read(json!({ "not_after": "2026-01-01T02:00:00+02:00", "file": "/a" })).unwrap();
        assert_eq!(zoned.not_after, source.not_after);
        for endless in [json!({ "env": "A" }), json!({ "env": "A", "not_after": null })] {
            assert_eq!(read(endless).unwrap().not_after, None);
        }
    }

    #[test]
    fn what_is_no_end_is_refused_without_showing_the_secret() {
        for (json, part) in [
            (json!({ "value": "hunter2", "not_after": "soon" }), "`not_after` is not a time; write for example"),
            (json!({ "value": "hunter2", "not_after": 2026 }), "put it in quotes"),
            (json!({ "not_after": "2026-01-01T00:00:00Z" }), "names 0 sources"),
            (
                json!({ "value": "hunter2", "not_before": "hunter2" }),
                "`not_before` is no source of a secret; write exactly one",
            ),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_rotating_secret_is_not_shown() {
        let source = read(json!({ "value": "hunter2", "not_after": "2026-01-01T00:00:00Z" })).unwrap();
        let shown = format!("{source:?} {}", serde_json::to_string(&source).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn only_what_rotates_may_end() {
        let error = serde_json::from_value::<SecretSource>(json!({ "env": "A", "not_after": null })).unwrap_err();
        assert!(error.to_string().contains("`not_after` is no source of a secret"), "{error}");
    }
}
