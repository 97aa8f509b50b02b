//! In which of two formats a scrape is answered: OpenMetrics, or the classic text of Prometheus. The `Accept` header decides.

use axum::http::{HeaderMap, header};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Classic,
    OpenMetrics,
}

impl Format {
    /// OpenMetrics where it is named and nothing is liked better, else the classic text.
    pub(super) fn asked(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        let (mut open, mut classic) = (0.0, 0.0);
        for range in values.flat_map(|value| value.split(',')) {
            let (kind, version, weight) = parts(range);
            match (kind.as_str(), version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => open = f32::max(open, weight),
                ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => classic = f32::max(classic, weight),
                _ => {}
            }
        }
        if open > 0.0 && open >= classic { Self::OpenMetrics } else { Self::Classic }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    pub(super) fn text(self, registry: &Registry) -> String {
        let mut text = String::new();
        let written = match self {
            Self::Classic => prometheus_text::encode(&mut text, registry),
            Self::OpenMetrics => text::encode(&mut text, registry),
        };
        // Writing to a string cannot fail.
        written.ok();
        text
    }
}

/// A range of an `Accept` header: its type, the version that it names, and how much it is liked.
fn parts(range: &str) -> (String, Option<&str>, f32) {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let (mut version, mut weight) = (None, 1.0);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "version" => version = Some(value.trim().trim_matches('"')),
            "q" => weight = value.trim().parse().unwrap_or(0.0),
            _ => {}
        }
    }
    (kind, version, weight)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn open_metrics_comes_where_it_is_asked_for() {
        const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (None, Format::Classic),
            (Some("*/*"), Format::Classic),
            (Some("text/plain"), Format::Classic),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Format::Classic),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (Some("Application/OpenMetrics-Text; Version=\"1.0.0\""), Format::OpenMetrics),
            (Some("application/openmetrics-text;version=0.0.1"), Format::Classic),
            (Some("application/openmetrics-text;q=0"), Format::Classic),
            (Some("application/openmetrics-text;q=0.2,text/plain;version=0.0.4"), Format::Classic),
            (Some("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0"), Format::OpenMetrics),
            (Some(PROMETHEUS_2), Format::OpenMetrics),
            (Some(PROMETHEUS_3), Format::OpenMetrics),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(accept.map(|accept| (header::ACCEPT, HeaderValue::from_static(accept))));
            assert_eq!(Format::asked(&headers), format, "{accept:?}");
        }
    }
}
