//! Tests what a request looks like on the wire, and how each behaviour of a receiver is reported.

mod echo;
mod faults;
mod moved;
mod proxy;
mod signatures;
mod tls;

use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::callback::fixture::{
    BODY, OTHER_SECRET, SECRET, callback, config, defaults, egress, endpoint, event_id, now, saying, secrets, sender,
    server,
};
use crate::model::capture::Captured;
use crate::model::retry::Unreachable;
use crate::model::sign::{SigningSecret, TOLERANCE, verify};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

async fn attempt_with(sender: &Sender, url: &str, more: Value) -> Attempt {
    sender.send(&endpoint(url, more), &callback(&event_id()), now()).await
}

async fn attempt(url: &str, more: Value) -> Attempt {
    attempt_with(&sender(&[]), url, more).await
}

fn unreachable(attempt: &Attempt) -> Option<Unreachable> {
    match attempt.outcome {
        Outcome::Unreachable(kind) => Some(kind),
        Outcome::Accepted { .. } | Outcome::Refused { .. } => None,
    }
}

async fn sent(more: Value) -> Captured {
    let (url, requests) = saying(OK);
    let attempt = attempt(&url, more).await;
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 }, "{attempt:?}");
    Captured::parse(&requests.recv().unwrap()).unwrap()
}

fn head(requests: &Receiver<Vec<u8>>) -> Vec<String> {
    let request = String::from_utf8(requests.recv().unwrap()).unwrap();
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().map(str::to_owned).filter(|line| !line.starts_with("host: ")).collect();
    lines[1..].sort();
    lines
}

#[tokio::test]
async fn a_request_looks_like_this() {
    let (url, requests) = saying(OK);
    let more = json!({ "method": "PUT", "headers": { "X-Tenant": "eu" }, "auth": { "bearer": { "value": "t0ken" } } });
    attempt(&format!("{url}?a=b"), more).await;
    let agent = format!("user-agent: lumo-bridge/{}", env!("CARGO_PKG_VERSION"));
    let expected = [
        "PUT /hooks?a=b HTTP/1.1",
        "accept: */*",
        "authorization: Bearer t0ken",
        "content-length: 75",
        "content-type: application/json",
        "lumo-attempt: 3",
        "lumo-event-type: deposit.created",
        "lumo-reason: live",
        agent.as_str(),
        "webhook-id: evt_06gq1xv5r8zn4m2k7c3b9d0fta",
        "webhook-signature: v1,2jw4+HGO/9vKICG/L0eh1qIGwXgiztQKxnl3T9s7hd0=",
        "webhook-timestamp: 1777889472",
        "x-tenant: eu",
    ];
    assert_eq!(head(&requests), expected);
}

#[tokio::test]
async fn what_is_sent_is_what_was_stored_and_signed_by_every_secret() {
    let captured = sent(json!({ "secrets": [{ "value": SECRET }, { "value": OTHER_SECRET }] })).await;
    assert_eq!(captured.body(), BODY.as_bytes());
    assert_eq!(captured.header("webhook-signature").unwrap().split(' ').count(), 2);
    for secret in secrets() {
        let verified = verify(&[secret], &captured.signed(), now().timestamp() + 10, TOLERANCE);
        assert_eq!(verified.map(|verified| verified.timestamp), Ok(now().timestamp()));
    }
}

#[tokio::test]
async fn basic_authentication_is_sent() {
    let basic = json!({ "auth": { "basic": { "username": "Aladdin", "password": { "value": "open sesame" } } } });
    let captured = sent(basic).await;
    assert_eq!(captured.header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
}

#[tokio::test]
async fn a_template_is_rendered_and_signed_as_sent() {
    let more = json!({
        "body": "amount={{ data.object.amount }}",
        "headers": { "Content-Type": "application/x-www-form-urlencoded" },
    });
    let captured = sent(more).await;
    assert_eq!(captured.body(), b"amount=12.5");
    assert_eq!(captured.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert!(verify(&secrets(), &captured.signed(), now().timestamp(), TOLERANCE).is_ok());
}

#[tokio::test]
async fn address_and_headers_are_rendered_from_the_event() {
    let (url, requests) = saying(OK);
    let more = json!({ "headers": { "X-Amount": "{{ data.object.amount }} USDT" } });
    let attempt = attempt(&format!("{url}/{{{{ type }}}}?a={{{{ 'b&c' }}}}"), more).await;
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 }, "{attempt:?}");
    let head = head(&requests);
    assert_eq!(head[0], "POST /hooks/deposit.created?a=b%26c HTTP/1.1");
    assert!(head.contains(&"x-amount: 12.5 USDT".to_owned()), "{head:?}");
}

#[tokio::test]
async fn what_cannot_be_rendered_is_told_with_its_key_and_shows_no_value() {
    let mut server = mockito::Server::new_async().await;
    let mock = server.mock("POST", mockito::Matcher::Any).expect(0).create_async().await;
    let hidden = json!({ "headers": { "X-Key": "hidden {{ data.object.amount ~ '\n' }}" } });
    for (path, more, expected) in [
        ("/{{ data.object.nothing }}", json!({}), "`url`: the template failed in line 1: undefined value"),
        ("/a/{{ '..' }}/hidden", json!({}), "`url`: the template made an address with a segment `.` or `..`"),
        (
            "/",
            hidden,
            "`x-key` would have a value that no header can carry; it takes printable ASCII, as `urlencode` makes it",
        ),
    ] {
        let attempt = attempt(&format!("{}{path}", server.url()), more).await;
        assert_eq!(unreachable(&attempt), Some(Unreachable::Request));
        assert_eq!(attempt.error.as_deref(), Some(expected));
    }
    mock.assert_async().await;
}

#[tokio::test]
async fn a_failing_template_sends_nothing() {
    let mut server = mockito::Server::new_async().await;
    let mock = server.mock("POST", "/").expect(0).create_async().await;
    let attempt = attempt(&server.url(), json!({ "body": "{{ data.object.nothing }}" })).await;
    assert_eq!(unreachable(&attempt), Some(Unreachable::Request));
    assert_eq!(attempt.error.as_deref(), Some("`body`: the template failed in line 1: undefined value"));
    mock.assert_async().await;
}

#[tokio::test]
async fn every_status_has_its_outcome() {
    let mut server = mockito::Server::new_async().await;
    for status in [200, 201, 204, 299, 400, 401, 403, 404, 410, 429, 500, 503] {
        let mock = server.mock("POST", "/").with_status(status).create_async().await;
        let attempt = attempt(&server.url(), json!({})).await;
        let status = u16::try_from(status).unwrap();
        if status < 300 {
            assert_eq!(attempt.outcome, Outcome::Accepted { status });
            assert_eq!(attempt.error, None);
        } else {
            assert_eq!(attempt.outcome, Outcome::Refused { status, retry_after: None });
            assert!(attempt.error.unwrap().starts_with(&format!("answered {status}")));
        }
        mock.remove_async().await;
    }
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_or_date() {
    let mut server = mockito::Server::new_async().await;
    for (hint, seconds) in [("120", Some(120)), ("Mon, 04 May 2026 10:12:12 GMT", Some(60)), ("soon", None)] {
        let mock = server.mock("POST", "/").with_status(503).with_header("retry-after", hint).create_async().await;
        let attempt = attempt(&server.url(), json!({})).await;
        let retry_after = seconds.map(Duration::from_secs);
        assert_eq!(attempt.outcome, Outcome::Refused { status: 503, retry_after }, "{hint}");
        mock.remove_async().await;
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let mut server = mockito::Server::new_async().await;
    let target = server.mock("POST", "/target").expect(0).create_async().await;
    for status in [301, 302, 303, 307, 308] {
        let mock = server.mock("POST", "/").with_status(status).with_header("location", "/target").create_async().await;
        let attempt = attempt(&server.url(), json!({})).await;
        assert_eq!(attempt.outcome, Outcome::Refused { status: u16::try_from(status).unwrap(), retry_after: None });
        assert!(attempt.error.unwrap().ends_with("redirects are not followed"));
        mock.remove_async().await;
    }
    target.assert_async().await;
}

#[tokio::test]
async fn the_beginning_of_an_answer_is_kept_as_text() {
    let mut server = mockito::Server::new_async().await;
    for (body, expected) in [
        (Vec::new(), None),
        (b"thanks".to_vec(), Some("thanks".to_owned())),
        (b"a\0b\xffc".to_vec(), Some("ab\u{fffd}c".to_owned())),
        ("ж".repeat(10_000).into_bytes(), Some("ж".repeat(2048))),
        (format!("x{}", "ж".repeat(10_000)).into_bytes(), Some(format!("x{}", "ж".repeat(2047)))),
        (b"you sent Bearer t0ken".to_vec(), Some("you sent Bearer [redacted]".to_owned())),
        (b"from eu with abcdefgh-key".to_vec(), Some("from eu with [redacted]".to_owned())),
    ] {
        let mock = server.mock("POST", "/").with_status(500).with_body(body).create_async().await;
        let headers = json!({ "X-Tenant": "eu", "X-Key": "abcdefgh-key" });
        let more = json!({ "auth": { "bearer": { "value": "t0ken" } }, "headers": headers });
        let attempt = attempt(&server.url(), more).await;
        assert_eq!(attempt.response_body, expected);
        mock.remove_async().await;
    }
}

#[tokio::test]
async fn silence_ends_with_the_timeout() {
    let drip = |stream: &mut std::net::TcpStream| {
        let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        while written.is_ok() {
            std::thread::sleep(Duration::from_millis(20));
            written = stream.write_all(b"x");
        }
    };
    for (url, _requests) in [
        saying(""),
        saying("HTTP/1.1 200 OK\r\ncontent-le"),
        saying("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"),
        server(drip),
    ] {
        let attempt = attempt(&url, json!({ "timeout": "300ms" })).await;
        assert_eq!(unreachable(&attempt), Some(Unreachable::Timeout), "{attempt:?}");
        let error = attempt.error.as_deref().unwrap();
        assert!(error.ends_with("no complete answer within 300ms (`timeout`)"), "{attempt:?}");
        assert!(attempt.duration >= Duration::from_millis(300) && attempt.duration < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn a_long_answer_is_not_waited_for() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"] {
        let (url, _requests) = server(move |stream| {
            let mut written = stream.write_all(head.as_bytes());
            while written.is_ok() {
                written = stream.write_all(&[b'x'; 4096]);
            }
        });
        let attempt = attempt(&url, json!({})).await;
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 }, "{attempt:?}");
        assert_eq!(attempt.response_body.unwrap(), "x".repeat(4096));
    }
}

#[tokio::test]
async fn a_broken_connection_is_told_as_such() {
    for (url, _requests) in [
        server(|_| {}),
        server(|stream| stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").unwrap()),
        server(|stream| stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab").unwrap()),
        server(|stream| stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").unwrap()),
    ] {
        let attempt = attempt(&url, json!({})).await;
        assert_eq!(unreachable(&attempt), Some(Unreachable::Connection), "{attempt:?}");
    }
}

#[tokio::test]
async fn a_refusal_stands_though_its_body_breaks() {
    let (url, _requests) =
        server(|stream| stream.write_all(b"HTTP/1.1 410 Gone\r\ncontent-length: 100\r\n\r\nhalf").unwrap());
    let attempt = attempt(&url, json!({})).await;
    assert_eq!(attempt.outcome, Outcome::Refused { status: 410, retry_after: None });
    assert_eq!(attempt.response_body.as_deref(), Some("half"));
}

#[tokio::test]
async fn nobody_there_is_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plain = mockito::Server::new_async().await;
    for (url, kind) in [
        (format!("http://{free}/"), Unreachable::Connection),
        ("http://nonexistent.invalid/".to_owned(), Unreachable::Dns),
        (plain.url().replace("http://", "https://"), Unreachable::Tls),
    ] {
        let attempt = attempt(&format!("{url}?key=hidden"), json!({})).await;
        assert_eq!(unreachable(&attempt), Some(kind), "{attempt:?}");
        let error = attempt.error.unwrap();
        assert!(!error.contains("hidden") && !error.contains("http://"), "{error}");
    }
}

#[tokio::test]
async fn a_denied_address_is_never_connected_to() {
    let mut server = mockito::Server::new_async().await;
    let mock = server.mock("POST", "/").expect(0).create_async().await;
    let port = server.socket_address().port();
    let guarded = sender(&["127.0.0.0/8", "::1/128"]);
    let spellings = ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0"];
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "localhost", "LOCALHOST"].into_iter().chain(spellings) {
        let attempt = attempt_with(&guarded, &format!("http://{host}:{port}/"), json!({})).await;
        assert_eq!(unreachable(&attempt), Some(Unreachable::Denied), "{host} {attempt:?}");
        let error = attempt.error.unwrap();
        assert!(error.ends_with("is in a network that `callbacks.egress.deny` lists"), "{error}");
    }
    let made = format!("http://localhost:{port}/{{{{ '@example.com' }}}}/");
    let attempt = attempt_with(&guarded, &made, json!({})).await;
    assert_eq!(unreachable(&attempt), Some(Unreachable::Denied), "{attempt:?}");
    mock.assert_async().await;
}

#[test]
fn no_debug_shows_a_secret() {
    let hidden = ["h1dden-path", "h1dden-query", "h1dden-header", "h1dden-token", "h1dden-key", "MfKQ9r8GKYqr"];
    let url = "https://example.com/h1dden-path?key=h1dden-query";
    let more = json!({
        "headers": { "X-Key": "h1dden-header" },
        "auth": { "bearer": { "value": "h1dden-token" } },
        "extra_signatures": [{ "style": "github", "secret": { "value": "h1dden-key" } }],
    });
    let endpoint = Endpoint::compile("shop", &config(url, more), &defaults()).unwrap();
    let id = event_id();
    let headers = prepare(endpoint.http().unwrap(), &callback(&id), now()).unwrap().headers;
    let shown = format!("{endpoint:?} {:#?} {headers:?} {:?}", endpoint, sender(&[]));
    for text in hidden {
        assert!(!shown.contains(text), "{text}: {shown}");
    }
    assert!(shown.contains("https://example.com"));
}
