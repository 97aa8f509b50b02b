//! A receiver that costs as little as one can: it shares the cores with what is measured.
//!
//! All receivers live on one thread beside the measuring, notes and the time of each request are kept in memory. Raw posts and
//! the bridge meet the same ones.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const GOOD: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const BAD: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// What a request is met with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mood {
    Good,
    Bad,
    /// No answer at all.
    Silent,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) event: String,
    pub(crate) good: bool,
}

#[derive(Default)]
struct Shared {
    mood: AtomicU8,
    delay_us: AtomicU64,
    good: AtomicUsize,
    arrivals: Mutex<Vec<Arrival>>,
}

/// Where requests arrive. It is served until the process ends.
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    port: u16,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let (send, port) = mpsc::channel();
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                send.send(listener.local_addr().unwrap().port()).unwrap();
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let shared = Arc::clone(&served);
                    connections.spawn(async move { serve(stream, &shared).await });
                }
            });
        });
        Self { shared, port: port.recv().unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.shared.mood.store(mood as u8, Ordering::Relaxed);
    }

    pub(crate) fn takes(&self, delay: Duration) {
        self.shared.delay_us.store(u64::try_from(delay.as_micros()).unwrap(), Ordering::Relaxed);
    }

    /// How many requests were answered well.
    pub(crate) fn good(&self) -> usize {
        self.shared.good.load(Ordering::Relaxed)
    }

    /// Waits until so many were.
    pub(crate) async fn until(&self, good: usize) {
        let (mut seen, mut since) = (self.good(), Instant::now());
        while self.good() < good {
            if self.good() > seen {
                (seen, since) = (self.good(), Instant::now());
            }
            assert!(since.elapsed() < Duration::from_secs(90), "{seen} of {good} came, and nothing since");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What came since the last time, in that order; it is forgotten here.
    pub(crate) fn take(&self) -> Vec<Arrival> {
        self.shared.good.store(0, Ordering::Relaxed);
        std::mem::take(&mut self.shared.arrivals.lock().unwrap())
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        let (event, length) = loop {
            if let Some(request) = whole(&buffer) {
                break request;
            }
            match stream.read_buf(&mut buffer).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        };
        let (at, mood) = (Instant::now(), shared.mood.load(Ordering::Relaxed));
        let good = mood == Mood::Good as u8;
        shared.arrivals.lock().unwrap().push(Arrival { at, event, good });
        if mood == Mood::Silent as u8 {
            std::future::pending::<()>().await;
        }
        let delay = shared.delay_us.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_micros(delay)).await;
        }
        if stream.write_all(if good { GOOD } else { BAD }).await.is_err() {
            return;
        }
        shared.good.fetch_add(usize::from(good), Ordering::Relaxed);
        buffer.drain(..length);
    }
}

/// The event of a request that has arrived, and how long the request is.
fn whole(buffer: &[u8]) -> Option<(String, usize)> {
    let (mut event, mut body, mut length) = (String::new(), 0, 0);
    for line in buffer.split_inclusive(|byte| *byte == b'\n') {
        length += line.len();
        if line == b"\r\n" {
            return (buffer.len() >= length + body).then_some((event, length + body));
        }
        let value = |name: &str| {
            let value = line.strip_prefix(name.as_bytes())?.strip_suffix(b"\r\n")?;
            std::str::from_utf8(value).ok()
        };
        if let Some(id) = value("webhook-id: ") {
            event = id.to_owned();
        } else if let Some(bytes) = value("content-length: ") {
            body = bytes.parse().unwrap();
        }
    }
    None
}
