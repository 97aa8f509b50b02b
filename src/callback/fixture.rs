//! Endpoints, callbacks and rude servers for the tests of this module.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::callback::{Callback, Defaults, Egress, Endpoint, EndpointConfig, Sender};
use crate::model::id::EventId;
use crate::model::sign::SigningSecret;

pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(super) const OTHER_SECRET: &str = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
pub(super) const BODY: &str = r#"{"id":"evt_1","type":"deposit.created","data":{"object":{"amount":"12.5"}}}"#;

pub(super) fn now() -> DateTime<Utc> {
    "2026-05-04T10:11:12Z".parse().unwrap()
}

pub(super) fn defaults() -> Defaults {
    serde_json::from_value(json!({
        "timeout": "5s", "concurrency": 8, "rate": null,
        "ordering": { "by": "user", "max_hold": "15m" },
        "retry": { "schedule": ["5s", "30s"], "jitter": 0.1, "retry_after_cap": "12h" },
    }))
    .unwrap()
}

/// The configuration of an endpoint, with `more` laid over it.
pub(super) fn config(url: &str, more: serde_json::Value) -> EndpointConfig {
    let mut config = json!({ "url": url, "events": ["*"], "secrets": [{ "value": SECRET }] });
    let entries = more.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(entries);
    serde_json::from_value(config).unwrap()
}

pub(super) fn endpoint(url: &str, more: serde_json::Value) -> Endpoint {
    Endpoint::compile("shop", &config(url, more), &defaults()).unwrap()
}

pub(super) fn egress(deny: &[&str]) -> Egress {
    serde_json::from_value(json!({ "deny": deny, "proxy": null })).unwrap()
}

pub(super) fn sender(deny: &[&str]) -> Sender {
    // A second installation is refused, which is fine.
    drop(rustls::crypto::ring::default_provider().install_default());
    Sender::new(&egress(deny), []).unwrap()
}

pub(super) fn event_id() -> EventId {
    "evt_06gq1xv5r8zn4m2k7c3b9d0fta".parse().unwrap()
}

pub(super) fn callback(event_id: &EventId) -> Callback<'_> {
    Callback { event_id, event_type: "deposit.created", attempt: 3, reason: "live", body: BODY }
}

pub(super) fn secrets() -> [SigningSecret; 2] {
    [SECRET.parse().unwrap(), OTHER_SECRET.parse().unwrap()]
}

/// A server for one connection: it reads one request, hands it out, and leaves the rest to `answer`.
pub(super) fn server(answer: impl FnOnce(&mut TcpStream) + Send + 'static) -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let (requests, received) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Not every test looks at it.
        drop(requests.send(request(&mut stream)));
        answer(&mut stream);
    });
    (url, received)
}

/// A server that says this and then waits until the client has had enough.
pub(super) fn saying(answer: &'static str) -> (String, Receiver<Vec<u8>>) {
    server(move |stream| {
        stream.write_all(answer.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        drop(stream.read(&mut [0]));
    })
}

pub(super) fn request(stream: &mut impl Read) -> Vec<u8> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        request.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    request.extend(body);
    request
}
