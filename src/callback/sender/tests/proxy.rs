//! Tests requests through a proxy: what the proxy sees, and what only the proxy sees.

use std::net::{SocketAddr, TcpStream};

use data_encoding::BASE64;

use super::tls::Authority;
use super::*;
use crate::callback::fixture::request;

fn through(proxy: &str) -> Sender {
    drop(sender(&[]));
    Sender::new(&Egress { proxy: Some(proxy.into()), ..egress(&[]) }, []).unwrap()
}

/// A proxy for whoever knows the name and the password. It answers a plain request itself, and tunnels to `target`. Gives
/// its port, and hands out what it is asked.
fn proxy(target: Option<SocketAddr>, known: &'static str) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (ask, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = String::from_utf8(request(&mut stream)).unwrap().to_lowercase();
            let known = format!("proxy-authorization: basic {}\r\n", BASE64.encode(known.as_bytes())).to_lowercase();
            let answer = match target {
                _ if !head.contains(&known) => "407 Proxy Authentication Required\r\ncontent-length: 0",
                Some(_) => "200 OK",
                None => "202 Accepted\r\ncontent-length: 0",
            };
            let is_tunnel = answer == "200 OK";
            stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).unwrap();
            drop(ask.send(head));
            if let Some(target) = target.filter(|_| is_tunnel) {
                splice(stream, TcpStream::connect(target).unwrap());
            }
        }
    });
    (port, asked)
}

fn splice(client: TcpStream, server: TcpStream) {
    for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    }
}

#[tokio::test]
async fn a_proxy_gets_the_request_and_denies_nothing_but_literals() {
    let mut proxy = mockito::Server::new_async().await;
    let mock = proxy.mock("POST", "/").with_status(202).create_async().await;
    drop(sender(&[]));
    let egress = Egress { proxy: Some(proxy.url().as_str().into()), ..egress(&["127.0.0.0/8"]) };
    let sender = Sender::new(&egress, []).unwrap();
    let through = attempt_with(&sender, "http://nonexistent.invalid/", json!({})).await;
    assert_eq!(through.outcome, Outcome::Accepted { status: 202 }, "{through:?}");
    let literal = attempt_with(&sender, "http://127.0.0.1/", json!({})).await;
    assert_eq!(unreachable(&literal), Some(Unreachable::Denied));
    mock.assert_async().await;
}

#[test]
fn a_proxy_that_is_none_is_refused_without_showing_it() {
    for url in ["socks5://u:hidden@proxy", "proxy hidden", "hidden:3128", "http://u:hi/dden@proxy"] {
        let egress = Egress { proxy: Some(url.into()), ..egress(&[]) };
        let error = Sender::new(&egress, []).unwrap_err().to_string();
        assert!(error.starts_with("callbacks.egress.proxy: "), "{error}");
        assert!(!error.contains("hidden"), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_gets_it() {
    let (port, asked) = proxy(None, "me:p@ss/w+rd");
    let sender = through(&format!("http://me:p%40ss%2Fw+rd@127.0.0.1:{port}"));
    let attempt = attempt_with(&sender, "http://nonexistent.invalid/", json!({})).await;
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 202 }, "{attempt:?}");
    assert!(asked.recv().unwrap().starts_with("post http://nonexistent.invalid/ http/1.1\r\n"));

    let wrong = through(&format!("http://me:wr0ng-password@127.0.0.1:{port}"));
    let attempt = attempt_with(&wrong, "http://nonexistent.invalid/", json!({})).await;
    assert_eq!(attempt.outcome, Outcome::Refused { status: 407, retry_after: None }, "{attempt:?}");
    assert!(!format!("{attempt:?} {wrong:?}").contains("wr0ng"), "{attempt:?}");
}

#[tokio::test]
async fn the_password_goes_to_the_proxy_only() {
    let authority = Authority::new();
    let (url, met) = authority.server("localhost", false, &[b"http/1.1"]);
    let target: SocketAddr = url.trim_start_matches("https://").trim_end_matches("/hooks").parse().unwrap();
    let (port, asked) = proxy(Some(target), "me:s3cret-password");
    let egress =
        Egress { proxy: Some(format!("http://me:s3cret-password@127.0.0.1:{port}").as_str().into()), ..egress(&[]) };
    let endpoint = endpoint(
        &format!("https://localhost:{}/hooks", target.port()),
        json!({ "tls": { "ca": authority.file("ca") } }),
    );
    let sender = Sender::new(&egress, [&endpoint]).unwrap();
    let attempt = sender.send(&endpoint, &callback(&event_id()), now()).await;
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 204 }, "{attempt:?}");
    assert!(asked.recv().unwrap().starts_with(&format!("connect localhost:{}", target.port())));
    let request = String::from_utf8(met.recv().unwrap().request).unwrap().to_lowercase();
    assert!(request.contains("webhook-signature: ") && !request.contains("proxy-authorization"), "{request}");
}
