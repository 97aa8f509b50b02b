//! The configuration of a test: quick, on this machine, and easy to change in one place.

use std::fmt;

use serde_json::{Value, json};

use super::SECRET;

/// A configuration file in the making.
#[derive(Clone)]
pub(crate) struct Settings(Value);

impl Settings {
    pub(super) fn new(database: &str, upstream: &str, key: &str) -> Self {
        let each_second = json!({ "schedule": "*/1 * * * * *" });
        Self(json!({
            "database": { "url": database },
            "lumo": { "base_url": upstream, "api_key": { "value": key }, "timeout": "10s", "rate": "10000/s" },
            "sync": {
                "wallets": each_second,
                "blocked": each_second,
                "deposits": each_second,
                "sweep": { "schedule": "*/5 * * * * *", "budget": "100%" },
                "first_import": "silent",
            },
            "callbacks": {
                "defaults": {
                    "timeout": "5s",
                    "retry": { "schedule": ["200ms", "500ms", "1s", "1s", "1s", "1s", "2s", "2s", "5s"], "jitter": 0.1 },
                },
                "endpoints": {},
            },
            "server": { "listen": null },
            "log": { "level": "info" },
        }))
    }

    /// Sets what a dotted path names.
    pub(crate) fn set(&mut self, path: &str, value: Value) {
        let mut place = &mut self.0;
        for key in path.split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[key];
        }
        *place = value;
    }

    /// Takes away what a dotted path names.
    pub(crate) fn remove(&mut self, path: &str) {
        let (parent, key) = path.rsplit_once('.').expect("a path of more than one key");
        let pointer = format!("/{}", parent.replace('.', "/"));
        let place = self.0.pointer_mut(&pointer).and_then(Value::as_object_mut).expect("there is such a key");
        place.remove(key).expect("there is such a key");
    }

    pub(crate) fn endpoint(&mut self, name: &str, url: &str, events: &[&str]) {
        let endpoint = json!({ "url": url, "events": events, "secrets": [{ "value": SECRET }] });
        self.set(&format!("callbacks.endpoints.{name}"), endpoint);
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}
