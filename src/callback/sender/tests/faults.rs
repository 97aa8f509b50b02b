//! Tests misbehaving receivers over raw sockets: none costs more than the timeout, a connection and a few kilobytes.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const LONGEST_ATTEMPT: Duration = Duration::from_secs(5);

/// A server that is handed a connection of which nothing was read. What it leaves unread when it is done makes the
/// system reset the connection.
fn unread(answer: impl FnOnce(&mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Something has arrived, and will be unread.
        stream.peek(&mut [0]).unwrap();
        answer(&mut stream);
        std::thread::sleep(Duration::from_millis(100));
    });
    url
}

/// A server that says `head`, and then `part` until nobody listens; gives what was written of it.
fn flood(head: &'static [u8], part: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let (url, _) = server(move |stream| {
        let mut result = stream.write_all(head);
        while result.is_ok() {
            result = stream.write_all(part);
            count.fetch_add(part.len(), Ordering::Relaxed);
        }
    });
    (url, written)
}

/// A gigabyte of zeros: a literal, runs of 258 in thirteen bytes for eight, and the end. Unpacked once by another
/// implementation.
fn bomb() -> Vec<u8> {
    const RUNS: [u8; 13] = [0x05, 0xa3, 0x60, 0x14, 0x8c, 0x82, 0x51, 0x30, 0x0a, 0x46, 0xc1, 0x28, 0x18];
    let mut bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x63\x18".to_vec();
    bytes.extend(RUNS.repeat(520_222));
    bytes.extend(&RUNS[..12]);
    bytes.extend(b"\x18\x05\xa3\x60\x14\x8c\x82\x51\x30\x0a\x46\x01\0");
    bytes.extend(b"\x1b\x87\x45\x66\xff\0\0\x40");
    bytes
}

fn compressed(status: &str, encoding: &str, body: Vec<u8>) -> String {
    let head = format!("HTTP/1.1 {status}\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n", body.len());
    // The client leaves in the middle of a long one.
    server(move |stream| drop(stream.write_all(&[head.as_bytes(), &body].concat()))).0
}

fn assert_quick(attempt: &Attempt) {
    assert!(attempt.duration < LONGEST_ATTEMPT, "{attempt:?}");
}

#[tokio::test]
async fn a_compressed_answer_is_neither_unpacked_nor_kept() {
    for (status, encoding, outcome) in [
        ("200 OK", "gzip", Outcome::Accepted { status: 200 }),
        ("200 OK", "gzip, gzip", Outcome::Accepted { status: 200 }),
        ("200 OK", "nonsense", Outcome::Accepted { status: 200 }),
        ("500 Oops", "gzip", Outcome::Refused { status: 500, retry_after: None }),
    ] {
        let attempt = attempt(&compressed(status, encoding, bomb()), json!({})).await;
        assert_eq!(attempt.outcome, outcome, "{encoding} {attempt:?}");
        assert_eq!(attempt.response_body, None, "{encoding}");
        assert_quick(&attempt);
    }
    // Twenty bytes of gzip that say `x`.
    let small = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\0\0\x83\x16\xdc\x8c\x01\0\0\0".to_vec();
    let attempt = attempt(&compressed("200 OK", "GZIP", small), json!({})).await;
    assert_eq!((attempt.outcome, attempt.response_body), (Outcome::Accepted { status: 200 }, None));
}

#[tokio::test]
async fn an_answer_that_is_not_compressed_is_kept() {
    let attempt = attempt(&compressed("200 OK", "identity", b"thanks".to_vec()), json!({})).await;
    assert_eq!(attempt.response_body.as_deref(), Some("thanks"));
}

#[tokio::test]
async fn an_endless_refusal_is_not_waited_for() {
    let (url, _) = flood(b"HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\n", b"4\r\nlong\r\n");
    let attempt = attempt(&url, json!({})).await;
    assert_eq!(attempt.outcome, Outcome::Refused { status: 500, retry_after: None }, "{attempt:?}");
    assert_eq!(attempt.response_body.unwrap(), "long".repeat(1024));
    assert!(attempt.duration < LONGEST_ATTEMPT);
}

#[tokio::test]
async fn an_answer_without_end_before_its_body_ends_with_the_timeout() {
    let drip = |head: &'static [u8], part: &'static [u8]| {
        let drip = move |stream: &mut TcpStream| {
            let mut written = stream.write_all(head);
            while written.is_ok() {
                std::thread::sleep(Duration::from_millis(1));
                written = stream.write_all(part);
            }
        };
        server(drip).0
    };
    let slow = drip(b"HTTP/1.1 200 OK\r\nx-slow: ", b"x");
    let informed = drip(b"", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    for url in [slow, informed, unread(|_| std::thread::sleep(LONGEST_ATTEMPT))] {
        let attempt = attempt(&url, json!({ "timeout": "300ms" })).await;
        assert_eq!(unreachable(&attempt), Some(Unreachable::Timeout), "{attempt:?}");
        assert_quick(&attempt);
    }
}

#[tokio::test]
async fn a_receiver_that_reads_nothing_ends_with_the_timeout() {
    let url = unread(|_| std::thread::sleep(LONGEST_ATTEMPT));
    // More than the buffers of both sockets take.
    let body = format!("\"{}\"", "x".repeat(16 * 1024 * 1024));
    let id = event_id();
    let callback = Callback { body: &body, ..callback(&id) };
    let attempt = sender(&[]).send(&endpoint(&url, json!({ "timeout": "300ms" })), &callback, now()).await;
    assert_eq!(unreachable(&attempt), Some(Unreachable::Timeout), "{attempt:?}");
    assert_quick(&attempt);
}

#[tokio::test]
async fn what_comes_before_the_answer_does_not_count() {
    let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 202 Accepted\r\n\
                 content-length: 0\r\n\r\n";
    let (url, _requests) = saying(early);
    assert_eq!(attempt(&url, json!({})).await.outcome, Outcome::Accepted { status: 202 });
    let (url, _requests) = saying("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n");
    let switched = attempt(&url, json!({ "timeout": "300ms" })).await;
    assert!(!matches!(switched.outcome, Outcome::Accepted { .. }), "{switched:?}");
}

#[tokio::test]
async fn ten_megabytes_of_headers_are_not_read() {
    const MAX_WRITTEN: usize = 10 * 1024 * 1024;
    for (head, part) in [
        (&b"HTTP/1.1 200 OK\r\nx-long: "[..], &[b'x'; 1024][..]),
        (b"HTTP/1.1 200 OK\r\n", b"x-many: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", &[b'x'; 1024]),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x-trailer: 1\r\n"),
    ] {
        let (url, written) = flood(head, part);
        let attempt = attempt(&url, json!({})).await;
        assert_eq!(unreachable(&attempt), Some(Unreachable::Connection), "{attempt:?}");
        assert_quick(&attempt);
        // The system's buffers hold some of it.
        assert!(written.load(Ordering::Relaxed) < MAX_WRITTEN, "{}", String::from_utf8_lossy(head));
    }
}

#[tokio::test]
async fn a_reset_is_a_broken_connection_wherever_it_comes() {
    for said in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let url = unread(move |stream| stream.write_all(said.as_bytes()).unwrap());
        let attempt = attempt(&url, json!({})).await;
        assert_eq!(unreachable(&attempt), Some(Unreachable::Connection), "{said:?} {attempt:?}");
        assert_quick(&attempt);
    }
}

#[tokio::test]
async fn a_redirect_into_the_network_is_not_followed() {
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let own = format!("http://{}/", inside.local_addr().unwrap());
    for target in ["http://169.254.169.254/latest/meta-data/", own.as_str(), "//169.254.169.254/", "file:///etc/passwd"]
    {
        let answer = format!("HTTP/1.1 307 Elsewhere\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
        let (url, _requests) = server(move |stream| {
            stream.write_all(answer.as_bytes()).unwrap();
            drop(stream.read(&mut [0]));
        });
        let attempt = attempt_with(&sender(&["169.254.0.0/16"]), &url, json!({})).await;
        assert_eq!(attempt.outcome, Outcome::Refused { status: 307, retry_after: None }, "{attempt:?}");
        let error = attempt.error.unwrap();
        assert!(error.ends_with("redirects are not followed") && !error.contains("169.254"), "{error}");
    }
    assert_eq!(inside.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_success_counts_however_odd_its_headers_are() {
    let many = "x-many: 1\r\n".repeat(500);
    for headers in [
        many.as_str(),
        "x-odd : 1\r\n",
        "x-folded: a\r\n b\r\n\tc\r\n",
        "no colon at all\r\n",
        "x bad name: 1\r\n",
        "x-control: a\u{1}b\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}content-length : 2\r\n\r\nok");
        let (url, _requests) = server(move |stream| {
            stream.write_all(answer.as_bytes()).unwrap();
            drop(stream.read(&mut [0]));
        });
        let attempt = attempt(&url, json!({})).await;
        let shown = headers.get(..20).unwrap_or(headers);
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 }, "{shown:?} {attempt:?}");
        assert_eq!(attempt.response_body.as_deref(), Some("ok"), "{shown:?}");
    }
}
