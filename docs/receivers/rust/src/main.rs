//! A receiver of lumo-bridge callbacks with the standard library and four small crates.
//!
//! ```sh
//! SHOP_WEBHOOK_SECRET="whsec_..." PORT=8800 cargo run
//! ```
//!
//! `SHOP_WEBHOOK_SECRET` holds one secret, or two with a space between while they rotate. Put TLS in front. In a web
//! framework only `verify`, `take` and `store` remain; take the body as bytes (axum: `Bytes`, actix: `web::Bytes`).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, process, thread};

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const TOLERANCE: u64 = 300; // seconds, either way

type Headers = HashMap<String, String>; // names in lower case

/// Says what is wrong. `body` is the bytes as they came over the wire.
fn verify(secrets: &[Vec<u8>], headers: &Headers, body: &[u8], now: u64) -> Result<(), &'static str> {
    let header = |name| headers.get(name).map_or("", String::as_str);
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if id.is_empty() || id.len() > 64 || !id.bytes().all(safe) {
        return Err("webhook-id is missing or odd");
    }
    let seconds: u64 = timestamp.parse().map_err(|_| "webhook-timestamp is missing or odd")?;
    if now.abs_diff(seconds) > TOLERANCE {
        return Err("webhook-timestamp is too far from now");
    }
    for given in header("webhook-signature").split(' ') {
        let Some(Ok(given)) = given.strip_prefix("v1,").map(|text| BASE64_STANDARD.decode(text)) else {
            continue; // another version of the scheme, or nonsense
        };
        for secret in secrets {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            if mac.verify_slice(&given).is_ok() {
                return Ok(()); // verify_slice compares in constant time
            }
        }
    }
    Err("no signature matches")
}

fn read_secrets(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let secrets: Result<Vec<_>, _> =
        text.split_whitespace().map(|one| BASE64_STANDARD.decode(one.strip_prefix("whsec_").unwrap_or(one))).collect();
    match secrets {
        Ok(secrets) if secrets.is_empty() => Err("SHOP_WEBHOOK_SECRET is not set".into()),
        Ok(secrets) => Ok(secrets),
        Err(error) => Err(format!("SHOP_WEBHOOK_SECRET is not whsec_ and base64: {error}")),
    }
}

/// Keeps the event exactly once: true when it is new. A file that appears whole or not at all, under the event's id,
/// stands here for a row with a unique key in your own database (see receivers.md), where it belongs in production.
fn store(inbox: &Path, id: &str, body: &[u8]) -> io::Result<bool> {
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    let draft = inbox.join(format!("{}-{}.tmp", process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed)));
    let mut file = File::create(&draft)?;
    let linked = file
        .write_all(body)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&draft, inbox.join(format!("{id}.json")))); // fails when the name is taken
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a verified request came to, for the log. A test is stored nowhere: `endpoint test` reads that it arrived.
fn take(inbox: &Path, id: &str, body: &[u8]) -> io::Result<&'static str> {
    let event: serde_json::Value = serde_json::from_slice(body)?;
    if event["origin"] == "test" {
        return Ok("test");
    }
    Ok(if store(inbox, id, body)? { "stored" } else { "duplicate" })
}

/// Reads one request; `Err` is the status to refuse it with.
fn read_request(stream: &TcpStream) -> io::Result<Result<(Headers, Vec<u8>), u16>> {
    let mut reader = BufReader::new(stream);
    let mut head = (&mut reader).take(16 << 10);
    let mut next_line = || {
        let mut line = Vec::new();
        head.read_until(b'\n', &mut line)?;
        io::Result::Ok(String::from_utf8_lossy(&line).into_owned())
    };
    if !next_line()?.starts_with("POST ") {
        return Ok(Err(405));
    }
    let mut headers = Headers::new();
    loop {
        let line = next_line()?;
        if line.is_empty() {
            return Ok(Err(400)); // it ended in the middle, or is too long
        }
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse::<usize>().ok());
    match length {
        None => Ok(Err(411)),
        Some(length) if length > 1 << 20 => Ok(Err(413)),
        Some(length) => {
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            Ok(Ok((headers, body)))
        }
    }
}

fn receive(mut stream: &TcpStream, secrets: &[Vec<u8>], inbox: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (status, text) = match read_request(stream)? {
        Err(status) => (status, ""),
        Ok((headers, body)) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            match verify(secrets, &headers, &body, now) {
                Err(wrong) => (401, wrong),
                Ok(()) => match take(inbox, &headers["webhook-id"], &body) {
                    Ok(word) => {
                        println!("{word} {}", headers["webhook-id"]);
                        (204, "") // the work itself comes after the answer, from the inbox
                    }
                    Err(error) => {
                        eprintln!("{error}");
                        (500, "") // not stored: the bridge tries again
                    }
                },
            }
        }
    };
    let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", text.len()) };
    write!(stream, "HTTP/1.1 {status} \r\n{length}connection: close\r\n\r\n{text}")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secrets: &'static [_] = read_secrets(&env::var("SHOP_WEBHOOK_SECRET").unwrap_or_default())?.leak();
    let inbox = env::var("INBOX").unwrap_or_else(|_| "inbox".into());
    fs::create_dir_all(&inbox)?;
    let port: u16 = env::var("PORT").map_or(Ok(8800), |text| text.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on {}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let (Ok(stream), inbox) = (stream, inbox.clone()) else { continue };
        thread::spawn(move || {
            if let Err(error) = receive(&stream, secrets, Path::new(&inbox)) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}
