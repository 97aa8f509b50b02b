//! What stands before every published operation: the counter, the latency, the faults and the key.
//!
//! In that order. Faults that come instead of an answer strike before the key is looked at, as a proxy's would.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::simulator::Shared;
use crate::simulator::damage::{self, PageDamage};
use crate::simulator::fault::Fault;
use crate::simulator::refusal::Refusal;
use crate::simulator::requests::Operation;

/// The gate of one operation.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) shared: Shared,
    pub(crate) operation: Operation,
}

pub(crate) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Gate { shared, operation } = gate;
    shared.requests.count(operation);
    if !shared.latency.is_zero() {
        tokio::time::sleep(shared.latency).await;
    }
    let fault = shared.faults.strike(operation);
    match fault {
        Some(Fault::Status { code, retry_after }) => return damage::status(code, retry_after),
        Some(Fault::HtmlStatus { code }) => return damage::html(code),
        Some(Fault::HtmlPage) => return damage::html(StatusCode::OK.as_u16()),
        _ => {}
    }
    let response = answer(&shared, request, next).await;
    match fault {
        Some(fault) => damaged(response, fault).await,
        None => response,
    }
}

/// The answer to whoever has a company's key.
async fn answer(shared: &Shared, mut request: Request, next: Next) -> Response {
    let Some(world) = shared.worlds.asked(request.headers(), request.uri()) else {
        return Refusal::new(StatusCode::UNAUTHORIZED, "invalid API key").into_response();
    };
    request.extensions_mut().insert(world);
    next.run(request).await
}

/// What stands before a request that belongs to none of the published lists: the latency and the key.
pub(crate) async fn quietly(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if !shared.latency.is_zero() {
        tokio::time::sleep(shared.latency).await;
    }
    answer(&shared, request, next).await
}

async fn damaged(response: Response, fault: Fault) -> Response {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_else(|_| Bytes::new());
    let response = Response::from_parts(parts, axum::body::Body::empty());
    match fault {
        Fault::Disconnect => damage::unanswered(),
        Fault::CutBody => damage::cut_body(response, body),
        Fault::CutJson => damage::cut_json(response, &body),
        Fault::Oversized { bytes } => damage::oversized(response, &body, bytes),
        Fault::NumericId => damage::page(response, body, PageDamage::NumericId),
        Fault::MissingId => damage::page(response, body, PageDamage::MissingId),
        Fault::DuplicateId => damage::page(response, body, PageDamage::DuplicateId),
        Fault::MissingTotal => damage::page(response, body, PageDamage::MissingTotal),
        Fault::LargeItems { bytes } => damage::page(response, body, PageDamage::LargeItems(bytes)),
        Fault::Hang { time } => {
            tokio::time::sleep(time).await;
            damage::with_body(response, body)
        }
        Fault::Status { .. } | Fault::HtmlStatus { .. } | Fault::HtmlPage => damage::with_body(response, body),
    }
}
