//! Connections: so many at a time, each with a time for its headers and for reading what is answered.
//!
//! This stands in for `axum::serve`, which sets no limit to any of that: a caller that opens connections and says nothing would
//! keep them, and the process has only so many files.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::stall::Stalling;
use crate::outage::Retried;

/// Connections at a time; others wait to be accepted.
const CONNECTIONS: usize = 128;
/// How long the headers of a request may take, and how long a connection may wait for its next request.
const HEADERS: Duration = Duration::from_secs(15);
/// How long a caller may leave an answer unread.
const READS: Duration = Duration::from_secs(30);
/// Largest head of a request.
const LARGEST_HEAD: usize = 32 * 1024;
/// How long a connection that has asked for nothing yet is waited for once the server stops.
const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// How long requests in progress may take to finish once the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait after `accept` failed, as it does when the process has no file handles left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled and what was in hand is answered.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut accepting = Retried::new("connections to the admin HTTP are accepted again");
    while let Some(Ok(place)) = stop.run_until_cancelled(Arc::clone(&places).acquire_owned()).await {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        match accepted {
            Ok((stream, _)) => {
                accepting.succeeded();
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(async move {
                    converse(stream, router, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                accepting.failed("connection to the admin HTTP not accepted", Instant::now(), &error);
                tokio::time::sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
}

/// Serves one connection to its end. How it ends is the caller's business, so errors end it and no more.
async fn converse(stream: TcpStream, router: Router, stop: CancellationToken) {
    stream.set_nodelay(true).ok();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(LARGEST_HEAD);
    let has_asked = AtomicBool::new(false);
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| {
        has_asked.store(true, Ordering::Relaxed);
        router.call(request)
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(Stalling::new(stream, READS)), service));
    tokio::select! {
        ended = connection.as_mut() => {
            ended.ok();
            return;
        }
        () = stop.cancelled() => {}
    }
    // Whoever has only just connected is about to ask, and would not be answered.
    if !has_asked.load(Ordering::Relaxed)
        && let Ok(ended) = tokio::time::timeout(FIRST_REQUEST, connection.as_mut()).await
    {
        ended.ok();
        return;
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = tokio::time::timeout(GRACE, connection).await {
        ended.ok();
    }
}
