//! Answers that are cut, endless, slow or not what they say.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::lumo::http::LISTING_CAP;

/// A server that says what it is told to, byte for byte, to each connection, and then does `then`.
fn raw_server(answer: Vec<u8>, then: fn(&mut TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            // The client may be gone at any moment, which is part of the game.
            if stream.read(&mut request).is_ok() && stream.write_all(&answer).is_ok() {
                then(&mut stream);
            }
        }
    });
    url
}

fn hang_up(_: &mut TcpStream) {}

/// A byte every few milliseconds, for ever.
fn drip(stream: &mut TcpStream) {
    while stream.write_all(b" ").is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn outage(url: &str, timeout: &str) -> Outage {
    match impatient_client(url, timeout).list_wallets(Lane::Fresh, &query(1, 0)).await {
        Err(Error::Unavailable { outage, source: Some(_) }) => outage,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cut_body_is_an_outage() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"wallets\":[".to_vec();
    assert_eq!(outage(&raw_server(head, hang_up), "30s").await, Outage::Broken);
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"wal\r\n".to_vec();
    assert_eq!(outage(&raw_server(chunked, hang_up), "30s").await, Outage::Broken);
    assert_eq!(outage(&raw_server(Vec::new(), hang_up), "30s").await, Outage::Broken);
    assert_eq!(outage(&raw_server(b"SSH-2.0-whatever\r\n".to_vec(), hang_up), "30s").await, Outage::Broken);
}

#[tokio::test]
async fn a_slow_body_is_given_up_in_time() {
    let start = std::time::Instant::now();
    let url = raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".to_vec(), drip);
    assert_eq!(outage(&url, "200ms").await, Outage::Timeout);
    let silent = raw_server(Vec::new(), |stream| {
        stream.read_to_end(&mut Vec::new()).ok();
    });
    assert_eq!(outage(&silent, "200ms").await, Outage::Timeout);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_slow_refusal_is_told_by_what_came_of_it() {
    let url = raw_server(b"HTTP/1.1 400 Bad\r\ncontent-length: 100000\r\n\r\nno such status".to_vec(), drip);
    let error = client(&url).list_wallets(Lane::Fresh, &query(1, 0)).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { message, .. } if message == "no such status"), "{error:?}");
}

#[tokio::test]
async fn an_oversized_body_is_not_read() {
    // Announced, it is refused before a byte of it is read.
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", LISTING_CAP + 1);
    // Not announced, it is refused as soon as it is too much.
    let mut streamed = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    streamed.resize(LISTING_CAP + 100, b' ');
    for answer in [announced.into_bytes(), streamed] {
        let url = raw_server(answer, drip);
        let error = client(&url).list_wallets(Lane::Fresh, &query(1, 0)).await.unwrap_err();
        assert!(
            matches!(&error, Error::Contract { path, problem } if path == "body" && problem == "is larger than 16 MiB"),
            "{error:?}"
        );
    }
    let large = raw_server(b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n".to_vec(), drip);
    let error = client(&large).create_wallet(&"u".parse().unwrap()).await.unwrap_err();
    assert!(matches!(&error, Error::Contract { problem, .. } if problem == "is larger than 1 MiB"), "{error:?}");
}

#[tokio::test]
async fn a_success_of_another_kind_is_a_breach() {
    for (status, body, expected) in [
        (200, "<html>welcome</html>", "is HTML or XML, not JSON"),
        (200, "{\"wallets\":[{\"id\":", "ends before its JSON does, line 1 column 18"),
        (204, "", "is empty"),
    ] {
        let server = answering(status, &[("content-type", "application/json")], body).await;
        let error = client(&server.url()).list_wallets(Lane::Fresh, &query(1, 0)).await.unwrap_err();
        assert!(matches!(&error, Error::Contract { problem, .. } if problem == expected), "{error:?}");
        assert!(!error.is_transient());
    }
}
