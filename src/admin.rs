//! The admin HTTP: whether the process lives, and whether it is ready.

pub mod config;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::Config;

use crate::chain::Chain;
use crate::store::Store;

/// Serves until `stop` is cancelled.
///
/// # Errors
/// If the listener breaks.
pub async fn serve(listener: TcpListener, store: Store, stop: CancellationToken) -> std::io::Result<()> {
    let routes =
        Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).with_state(Arc::new(store));
    axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Ready is: the database answers and has the tables of this program.
async fn ready(State(store): State<Arc<Store>>) -> (StatusCode, Json<Readiness>) {
    match store.ping().await {
        Ok(()) => (StatusCode::OK, Json(Readiness { ready: true, problem: None })),
        Err(error) => {
            let problem = Some(Chain(&error).to_string());
            (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { ready: false, problem }))
        }
    }
}
