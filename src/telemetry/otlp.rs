//! Spans as OTLP has them in JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::tracer::Finished;

const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
const FAILED: u8 = 2;
/// The field of a span that failed, as the semantic conventions name it.
const ERROR: &str = "error.type";

/// The body of one request to a collector.
pub(super) fn body(spans: &[Finished]) -> Value {
    let service = [("service.name", "lumo-bridge".into()), ("service.version", env!("CARGO_PKG_VERSION").into())];
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(&service) },
        "scopeSpans": [{ "scope": { "name": "lumo-bridge" }, "spans": spans }],
    }] })
}

fn span(finished: &Finished) -> Value {
    let Finished { name, place, began_at, ended_at, fields } = finished;
    let calls = matches!(*name, "lumo.request" | "deliver.attempt");
    let failed = fields.iter().any(|(name, _)| *name == ERROR);
    json!({
        "traceId": format!("{:032x}", place.trace),
        "spanId": format!("{:016x}", place.span),
        "parentSpanId": place.parent.map_or_else(String::new, |parent| format!("{parent:016x}")),
        "name": name,
        "kind": if calls { CLIENT } else { INTERNAL },
        "startTimeUnixNano": nanoseconds(*began_at),
        "endTimeUnixNano": nanoseconds(*ended_at),
        "attributes": attributes(fields),
        "status": if failed { json!({ "code": FAILED }) } else { json!({}) },
    })
}

/// As text, as all 64-bit numbers are.
fn nanoseconds(time: DateTime<Utc>) -> String {
    time.timestamp_nanos_opt().unwrap_or_default().to_string()
}

fn attributes(fields: &[(&'static str, Value)]) -> Vec<Value> {
    let value = |value: &Value| match value {
        Value::Bool(is_true) => json!({ "boolValue": is_true }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::String(text) => json!({ "stringValue": text }),
        other => json!({ "stringValue": other.to_string() }),
    };
    fields.iter().map(|(name, of)| json!({ "key": name, "value": value(of) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Place;

    #[test]
    fn a_span_is_spelled_as_collectors_read_it() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let finished = Finished {
            name: "deliver.attempt",
            place: Place { trace: 0xab, span: 0xcd, parent: Some(0xef) },
            began_at: at("2026-05-04T10:11:12.000001Z"),
            ended_at: at("2026-05-04T10:11:13Z"),
            fields: vec![("attempt", 2.into()), ("error.type", "503".into())],
        };
        let span = &body(&[finished])["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        let expected = json!({
            "traceId": "000000000000000000000000000000ab", "spanId": "00000000000000cd", "parentSpanId": "00000000000000ef",
            "name": "deliver.attempt", "kind": 3,
            "startTimeUnixNano": "1777889472000001000", "endTimeUnixNano": "1777889473000000000",
            "attributes": [
                { "key": "attempt", "value": { "intValue": "2" } },
                { "key": "error.type", "value": { "stringValue": "503" } },
            ],
            "status": { "code": 2 },
        });
        assert_eq!(*span, expected);
    }
}
