//! A wire that can be cut without a word: what is on it is neither closed nor refused, it is just never heard of again.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Passes connections on to another address. Dropping it closes them all.
pub(crate) struct Gate {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    /// Cancelled: what was connected while it was not is silent from now on.
    hushed: Mutex<CancellationToken>,
    silent: AtomicUsize,
}

impl Gate {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("no port for a gate");
        let addr = listener.local_addr().expect("a gate has an address");
        let shared = Arc::new(Shared::default());
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target, Arc::clone(&shared)));
        Self { addr, shared, _accepting: accepting }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Nothing passes any more, on the connections that there are and on those that will be made.
    pub(crate) fn hush(&self) {
        self.shared.hushed.lock().unwrap().cancel();
    }

    /// Connections that are made from now on pass. Those that were silenced stay so.
    pub(crate) fn open(&self) {
        *self.shared.hushed.lock().unwrap() = CancellationToken::new();
    }

    /// How many connections were silenced.
    pub(crate) fn silent(&self) -> usize {
        self.shared.silent.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let hushed = shared.hushed.lock().unwrap().clone();
        connections.spawn(pass(client, target, hushed, Arc::clone(&shared)));
    }
}

async fn pass(mut client: TcpStream, target: SocketAddr, hushed: CancellationToken, shared: Arc<Shared>) {
    let mut server = None;
    let passing = async {
        let server = server.insert(TcpStream::connect(target).await?);
        tokio::io::copy_bidirectional(&mut client, server).await
    };
    if hushed.run_until_cancelled(passing).await.is_none() {
        shared.silent.fetch_add(1, Ordering::Relaxed);
        // Both ends stay open, and nobody reads from either.
        std::future::pending::<()>().await;
    }
}
