//! A wire to a server, in the hands of the test: it can be silenced, cut, slowed down, and led to another server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Passes connections on to another address. Dropping it closes them all.
pub(crate) struct Gate {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    wire: Mutex<Wire>,
    opened: AtomicUsize,
    silent: AtomicUsize,
}

/// What a connection gets that is made now.
#[derive(Clone)]
struct Wire {
    target: SocketAddr,
    /// From one end to the other.
    delay: Duration,
    /// Cancelled: what was connected while it was not is silent from now on.
    hushed: CancellationToken,
    /// Cancelled: what was connected while it was not is closed.
    cut: CancellationToken,
}

impl Gate {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("no port for a gate");
        let addr = listener.local_addr().expect("a gate has an address");
        let (hushed, cut) = (CancellationToken::new(), CancellationToken::new());
        let wire = Mutex::new(Wire { target, delay: Duration::ZERO, hushed, cut });
        let shared = Arc::new(Shared { wire, opened: AtomicUsize::new(0), silent: AtomicUsize::new(0) });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Self { addr, shared, _accepting: accepting }
    }

    /// A gate to the server of a database, and the url that leads through it.
    pub(crate) async fn to_database(url: &str) -> (Self, String) {
        let mut url = Url::parse(url).unwrap();
        let gate = Self::to(address(&url)).await;
        url.set_port(Some(gate.addr().port())).unwrap();
        (gate, url.into())
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Nothing passes any more, on the connections that there are and on those that will be made.
    pub(crate) fn hush(&self) {
        self.shared.wire.lock().unwrap().hushed.cancel();
    }

    /// Connections that are made from now on pass. Those that were silenced stay so.
    pub(crate) fn open(&self) {
        self.shared.wire.lock().unwrap().hushed = CancellationToken::new();
    }

    /// Closes the connections that there are. New ones can be made.
    pub(crate) fn cut(&self) {
        let mut wire = self.shared.wire.lock().unwrap();
        std::mem::take(&mut wire.cut).cancel();
    }

    /// Leads connections that are made from now on to another server. Those that there are stay where they are.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.shared.wire.lock().unwrap().target = target;
    }

    /// Delays whatever passes on connections that are made from now on: the round trip takes this long.
    pub(crate) fn slow_down(&self, round_trip: Duration) {
        self.shared.wire.lock().unwrap().delay = round_trip / 2;
    }

    /// How many connections were made.
    pub(crate) fn opened(&self) -> usize {
        self.shared.opened.load(Ordering::Relaxed)
    }

    /// How many connections were silenced.
    pub(crate) fn silent(&self) -> usize {
        self.shared.silent.load(Ordering::Relaxed)
    }
}

/// Where the server of a database listens.
fn address(url: &Url) -> SocketAddr {
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap()).parse().unwrap()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        shared.opened.fetch_add(1, Ordering::Relaxed);
        let wire = shared.wire.lock().unwrap().clone();
        connections.spawn(pass(client, wire, Arc::clone(&shared)));
    }
}

async fn pass(client: TcpStream, wire: Wire, shared: Arc<Shared>) {
    let Wire { target, delay, hushed, cut } = wire;
    let mut ends = None;
    let passing = async {
        let server = TcpStream::connect(target).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (client, server) = ends.insert((client, server));
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::try_join!(pump(from_client, to_server, delay), pump(from_server, to_client, delay))
    };
    let passed = hushed.run_until_cancelled(passing);
    if let Some(None) = cut.run_until_cancelled(passed).await {
        shared.silent.fetch_add(1, Ordering::Relaxed);
        // Both ends stay open, and nobody reads from either.
        cut.cancelled().await;
    }
}

/// Passes one direction on. What is delayed does not hold up what comes after it.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Duration) -> io::Result<()> {
    if delay.is_zero() {
        tokio::io::copy(&mut from, &mut to).await?;
        return to.shutdown().await;
    }
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let reading = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 || sender.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
        drop(sender);
        io::Result::Ok(())
    };
    let writing = async {
        while let Some((due, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing).map(drop)
}

/// A server that says its name to whoever connects, and repeats what it hears.
async fn named(name: &'static [u8; 1], serving: &mut JoinSet<()>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                stream.write_all(name).await.ok();
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.ok();
            });
        }
    });
    addr
}

#[tokio::test]
async fn a_gate_leads_on_cuts_and_slows_down() {
    let mut serving = JoinSet::new();
    let (first, second) = (named(b"1", &mut serving).await, named(b"2", &mut serving).await);
    let gate = Gate::to(first).await;
    let mut old = TcpStream::connect(gate.addr()).await.unwrap();
    assert_eq!(old.read_u8().await.unwrap(), b'1');

    gate.lead_to(second);
    gate.slow_down(Duration::from_millis(100));
    let mut new = TcpStream::connect(gate.addr()).await.unwrap();
    assert_eq!(new.read_u8().await.unwrap(), b'2');
    old.write_u8(b'a').await.unwrap();
    assert_eq!(old.read_u8().await.unwrap(), b'a', "what was connected stays where it was");
    let asked = Instant::now();
    new.write_u8(b'b').await.unwrap();
    assert_eq!(new.read_u8().await.unwrap(), b'b');
    assert!(asked.elapsed() >= Duration::from_millis(100), "{:?}", asked.elapsed());

    gate.cut();
    assert!(old.read_u8().await.is_err() && new.read_u8().await.is_err());
    let mut again = TcpStream::connect(gate.addr()).await.unwrap();
    assert_eq!(again.read_u8().await.unwrap(), b'2');
    assert_eq!(gate.opened(), 3);
}
