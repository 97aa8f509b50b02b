//! Sections `log` and `telemetry`: what is logged, and in which form; where traces go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::{self, HttpUrl, Text};

/// The log on stderr.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// Lines for people, or one JSON object per line.
    #[serde(deserialize_with = "setting::word")]
    pub format: Format,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,lumo_bridge::sync=debug`.
    pub level: Text,
}

/// What is told of the work besides the log and the metrics.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Telemetry {
    /// Where OpenTelemetry traces go: OTLP over HTTP, as JSON. Without it there are none.
    pub traces: Option<HttpUrl>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Text,
    Json,
}
