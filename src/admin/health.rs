//! `/readyz`: the database answers and has the tables of this program, and no listing has fallen behind.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Admin;
use crate::chain::Chain;
use crate::model::Listing;
use crate::model::draft::rfc3339;
use crate::store::{self, Store};

#[derive(Serialize)]
pub(super) struct Readiness {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) async fn ready(State(admin): State<Admin>) -> (StatusCode, Json<Readiness>) {
    match problem(&admin.store).await {
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
