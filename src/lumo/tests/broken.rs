//! Answers that are cut, endless, slow or not what they say.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    match impatient_client(url, timeout).list_wallets(Priority::Fresh, &query(1, 0)).await {
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
    let error = client(&url).list_wallets(Priority::Fresh, &query(1, 0)).await.unwrap_err();
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
        let error = client(&url).list_wallets(Priority::Fresh, &query(1, 0)).await.unwrap_err();
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
        let error = client(&server.url()).list_wallets(Priority::Fresh, &query(1, 0)).await.unwrap_err();
        assert!(matches!(&error, Error::Contract { problem, .. } if problem == expected), "{error:?}");
        assert!(!error.is_transient());
    }
}

/// Pages without items, each as large as this; with the most requests that were under way at once.
fn large_pages(bytes: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (most, under_way) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let shown = Arc::clone(&most);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (most, under_way) = (Arc::clone(&most), Arc::clone(&under_way));
            std::thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n{{\"wallets\":[");
                    // What the client has read is over for it.
                    let body = " ".repeat(bytes - 14);
                    let written = stream.write_all((head + &body).as_bytes());
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    if written.and_then(|()| stream.write_all(b"]}")).is_err() {
                        break;
                    }
                }
            });
        }
    });
    (url, shown)
}

#[tokio::test]
async fn large_pages_are_read_one_or_two_at_a_time() {
    let (url, most) = large_pages(15 * 1024 * 1024);
    let client = client(&url);
    let pages = futures_util::future::join_all((0..4).map(|_| {
        let client = client.clone();
        async move { client.list_wallets(Priority::Fresh, &query(1, 0)).await }
    }));
    for page in pages.await {
        assert_eq!(page.unwrap().returned, 0);
    }
    assert!(most.load(Ordering::SeqCst) <= 2, "{most:?} at once");
}

#[tokio::test]
async fn an_answer_counts_however_odd_its_headers_are() {
    let body = "{\"wallets\":[],\"total\":0}";
    let many = "x-many: 1\r\n".repeat(500);
    for headers in [many.as_str(), "x-odd : 1\r\n", "x-folded: a\r\n b\r\n", "no colon at all\r\n"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}content-length : {}\r\n\r\n{body}", body.len());
        let page = client(&raw_server(answer.into_bytes(), hang_up)).list_wallets(Priority::Fresh, &query(1, 0)).await;
        assert_eq!(page.unwrap().total, Some(0), "{headers:.20}");
    }
}

#[tokio::test]
async fn after_an_outage_the_next_request_opens_a_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let away = "HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n".to_owned();
        let there = "HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"wallets\":[]}".to_owned();
        for (mut stream, answer) in listener.incoming().flatten().zip([away, there]) {
            std::thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    let client = client(&url);
    assert!(client.list_wallets(Priority::Fresh, &query(1, 0)).await.is_err());
    assert_eq!(client.list_wallets(Priority::Fresh, &query(1, 0)).await.unwrap().returned, 0);
}
