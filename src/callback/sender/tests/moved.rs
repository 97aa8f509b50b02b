//! Tests a name that moves to another server while the old one still runs.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::callback::fixture::request;
use crate::callback::guard::Guard;

/// What a server was asked.
#[derive(Default)]
struct Asked {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// A server that answers every request on every connection alike, and keeps connections open.
fn answering(listener: TcpListener, answer: String) -> Arc<Asked> {
    let asked = Arc::new(Asked::default());
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted.connections.fetch_add(1, Ordering::SeqCst);
            let (counted, answer) = (Arc::clone(&counted), answer.clone());
            std::thread::spawn(move || {
                while !request(&mut stream).is_empty() {
                    counted.requests.fetch_add(1, Ordering::SeqCst);
                    if stream.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    asked
}

#[tokio::test]
async fn after_a_failure_the_name_is_looked_up_anew_and_a_new_connection_opened() {
    drop(sender(&[]));
    for status in [500, 502, 503, 504] {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        // Not every system has more than one address of its own.
        let Ok(second) = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)) else { return };
        let old = answering(first, format!("HTTP/1.1 {status} Away\r\ncontent-length: 0\r\n\r\n"));
        let new = answering(second, OK.to_owned());
        let address = Arc::new(Mutex::new(IpAddr::from(Ipv4Addr::LOCALHOST)));
        let endpoint = endpoint(&format!("http://shop.example:{port}/hooks"), json!({}));
        let sender = Sender::guarded(&egress(&[]), Guard::answering(Arc::clone(&address)), [&endpoint]).unwrap();
        let id = event_id();

        let failed = sender.send(&endpoint, &callback(&id), now()).await;
        assert_eq!(failed.outcome, Outcome::Refused { status, retry_after: None }, "{failed:?}");
        *address.lock().unwrap() = Ipv4Addr::new(127, 0, 0, 2).into();
        for _ in 0..3 {
            let attempt = sender.send(&endpoint, &callback(&id), now()).await;
            assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 }, "after {status}: {attempt:?}");
        }
        assert_eq!(old.requests.load(Ordering::SeqCst), 1, "after {status}");
        assert_eq!(new.requests.load(Ordering::SeqCst), 3, "after {status}");
        assert_eq!(new.connections.load(Ordering::SeqCst), 1, "what works is kept");
    }
}
