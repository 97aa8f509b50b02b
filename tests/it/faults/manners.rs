//! A receiver with the worst of manners: raw bytes on a socket, at whatever speed, and an end of whatever kind.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What is done to the first request; all later ones are answered with 204.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// These bytes, and the connection is closed.
    Says(&'static str),
    /// These bytes, and silence.
    Hangs(&'static str),
    /// These bytes, and a reset.
    Resets(&'static str),
    /// The first bytes at once, and then this one again and again, once a second.
    Drips(&'static str, u8),
    /// The first bytes, and then these again and again, as fast as they are taken.
    Floods(&'static str, &'static [u8]),
    /// A body of a few megabytes that unpacks to a gigabyte.
    Bomb,
}

/// Listens until it is dropped.
pub(super) struct Rude {
    addr: SocketAddr,
    ids: Arc<Mutex<Vec<String>>>,
    _accepting: JoinSet<()>,
}

impl Rude {
    pub(super) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("no port for a receiver");
        let addr = listener.local_addr().expect("a listener has an address");
        let ids = Arc::new(Mutex::default());
        let mut accepting = JoinSet::new();
        let shared = Arc::clone(&ids);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, manner, Arc::clone(&shared)));
            }
        });
        Self { addr, ids, _accepting: accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    /// The `webhook-id` of each request.
    pub(super) fn ids(&self) -> Vec<String> {
        self.ids.lock().unwrap().clone()
    }
}

/// One request per connection.
async fn serve(mut stream: TcpStream, manner: Manner, ids: Arc<Mutex<Vec<String>>>) {
    let Some(id) = read(&mut stream).await else { return };
    let is_first = {
        let mut ids = ids.lock().unwrap();
        ids.push(id);
        ids.len() == 1
    };
    let polite = Manner::Says("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    // Whoever is treated like that may leave.
    drop(act(&mut stream, if is_first { manner } else { polite }).await);
}

/// Reads a request to its end; the id of its event.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).expect("a head of ASCII");
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length = header("content-length:").and_then(|length| length.parse().ok()).expect("a length");
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    Some(header("webhook-id:").expect("an id").to_owned())
}

async fn act(stream: &mut TcpStream, manner: Manner) -> std::io::Result<()> {
    match manner {
        Manner::Says(bytes) => stream.write_all(bytes.as_bytes()).await,
        Manner::Hangs(bytes) => {
            stream.write_all(bytes.as_bytes()).await?;
            // Until the other side has had enough.
            stream.read_u8().await.map(drop)
        }
        Manner::Resets(bytes) => {
            stream.write_all(bytes.as_bytes()).await?;
            // A reset can overtake what was sent before it.
            tokio::time::sleep(Duration::from_millis(200)).await;
            stream.set_zero_linger()
        }
        Manner::Drips(bytes, drop) => {
            stream.write_all(bytes.as_bytes()).await?;
            loop {
                stream.write_u8(drop).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Manner::Floods(bytes, then) => {
            stream.write_all(bytes.as_bytes()).await?;
            let flood = then.repeat(1 + (64 * 1024) / then.len());
            loop {
                stream.write_all(&flood).await?;
            }
        }
        Manner::Bomb => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n").await?;
            stream.write_all(&BOMB_START).await?;
            stream.write_all(&BOMB_PERIOD.repeat((1 << 30) / BOMB_UNPACKED)).await
        }
    }
}

/// The head of a gzip file, and a deflate block of fixed codes that begins with one zero byte, …
const BOMB_START: [u8; 11] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 0x62];
/// … and goes on with "the last byte, 258 times", eight times over, in 13 bytes.
const BOMB_PERIOD: [u8; 13] = [0x18, 0x05, 0xa3, 0x60, 0x14, 0x8c, 0x82, 0x51, 0x30, 0x0a, 0x46, 0xc1, 0x28];
const BOMB_UNPACKED: usize = 8 * 258;
