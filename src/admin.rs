//! The admin HTTP: whether the process lives, whether it is ready, and how far it has come.

pub mod config;
mod metrics;

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
use crate::model::Listing;
use crate::model::draft::rfc3339;
use crate::store::{self, Store};

/// Serves until `stop` is cancelled.
///
/// # Errors
/// If the listener breaks.
pub async fn serve(listener: TcpListener, store: Store, stop: CancellationToken) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::metrics))
        .with_state(Arc::new(store));
    axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Ready is: the database answers and has the tables of this program, and no listing has fallen behind.
async fn ready(State(store): State<Arc<Store>>) -> (StatusCode, Json<Readiness>) {
    match problem(&store).await {
        Ok(None) => (StatusCode::OK, Json(Readiness { ready: true, problem: None })),
        Ok(problem) => (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { ready: false, problem })),
        Err(error) => {
            let problem = Some(Chain(&error).to_string());
            (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { ready: false, problem }))
        }
    }
}

async fn problem(store: &Store) -> Result<Option<String>, store::Error> {
    store.ping().await?;
    for listing in Listing::ALL {
        if let Some(since) = store.progress(listing).await?.stalled_since {
            return Ok(Some(format!("{listing} not complete since {}", rfc3339(since))));
        }
    }
    Ok(None)
}
