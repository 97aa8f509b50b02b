//! The published operations: read the request, ask the world, print the answer.
//!
//! Keys, latency, counting and faults are the [gate]'s, which stands before each of them.
//!
//! [gate]: crate::simulator::gate

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::handler::Handler;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::serving::{Section, View};
use crate::simulator::Shared;
use crate::simulator::gate::{self, Gate};
use crate::simulator::of_key::OfKey;
use crate::simulator::params::{self, ListQuery};
use crate::simulator::quirks::Profile;
use crate::simulator::refusal::{self, Refusal};
use crate::simulator::requests::Operation;
use crate::simulator::shape;
use crate::world::{Filter, Wallet, WalletId};

type Answer = Result<Response, Refusal>;

pub(crate) fn router(shared: &Shared) -> Router {
    let wallets = behind_gate(shared, Operation::ListWallets, list_wallets).merge(behind_gate(
        shared,
        Operation::CreateWallet,
        create_wallet,
    ));
    Router::new()
        .route("/user-wallets", wallets)
        .route("/user-wallets/blocked", behind_gate(shared, Operation::ListBlockedWallets, list_blocked_wallets))
        .route("/user-wallets/deposits", behind_gate(shared, Operation::ListDeposits, list_deposits))
        .route("/user-wallets/{id}/block", behind_gate(shared, Operation::BlockWallet, block_wallet))
        .route("/user-wallets/{id}/replace", behind_gate(shared, Operation::ReplaceWallet, replace_wallet))
        .route(
            "/auth/company/profile",
            get(profile).route_layer(middleware::from_fn_with_state(shared.clone(), gate::quietly)),
        )
        .method_not_allowed_fallback(refusal::no_such_method)
        .with_state(shared.clone())
}

/// A handler at the method of its operation; listings are read, everything else is posted.
fn behind_gate<H, T>(shared: &Shared, operation: Operation, handler: H) -> MethodRouter<Shared>
where
    H: Handler<T, Shared>,
    T: 'static,
{
    let method = if operation.is_listing() { MethodFilter::GET } else { MethodFilter::POST };
    let gate = Gate { shared: shared.clone(), operation };
    on(method, handler).route_layer(middleware::from_fn_with_state(gate, gate::pass))
}

async fn list_wallets(OfKey(shared): OfKey, query: ListQuery) -> Answer {
    wallet_list(&shared, &query, Section::Plain { blocked: shared.quirks.blocked })
}

async fn list_blocked_wallets(OfKey(shared): OfKey, query: ListQuery) -> Answer {
    wallet_list(&shared, &query, Section::OnlyBlocked)
}

fn wallet_list(shared: &Shared, query: &ListQuery, section: Section) -> Answer {
    let quirks = &shared.quirks;
    let window = query.window(quirks)?;
    let view = View { section, replaced: quirks.replaced };
    let page = shared.world.wallet_page(view, query.external_id.as_deref(), quirks.order, window);
    json(StatusCode::OK, shape::wallets(&page, quirks))
}

async fn list_deposits(OfKey(shared): OfKey, query: ListQuery) -> Answer {
    let quirks = &shared.quirks;
    let window = query.window(quirks)?;
    if let Some(status) = query.status.as_deref().filter(|status| !shared.world.knows_status(status)) {
        return Err(Refusal::bad_request(format!("status must be a valid enum value, not {status:?}")));
    }
    let filter = Filter { external_id: query.external_id.as_deref(), status: query.status.as_deref() };
    let page = shared.world.deposit_page(filter, quirks.order, window);
    json(StatusCode::OK, shape::deposits(&page, quirks))
}

async fn profile(OfKey(shared): OfKey) -> Answer {
    match shared.quirks.profile {
        Profile::Answers => json(StatusCode::OK, shape::profile(shared.world.company())),
        Profile::Refuses => Err(Refusal::new(StatusCode::FORBIDDEN, "not for API keys")),
        Profile::Absent => Err(Refusal::not_found("Cannot GET /auth/company/profile")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewWallet {
    external_id: String,
}

async fn create_wallet(OfKey(shared): OfKey, body: Bytes) -> Answer {
    let NewWallet { external_id } = params::body(&body)?;
    let external_id = params::required("externalId", external_id)?;
    let (wallet, is_new) = shared.world.create_wallet(&external_id);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    json(status, shape::wallet(&wallet, &shared.quirks))
}

#[derive(Deserialize)]
struct Why {
    reason: String,
}

async fn block_wallet(OfKey(shared): OfKey, Path(id): Path<String>, body: Bytes) -> Answer {
    let (wallet, reason) = addressed(&shared, &id, &body)?;
    let wallet = shared.world.block(wallet.id, &reason)?;
    json(StatusCode::OK, shape::wallet(&wallet, &shared.quirks))
}

async fn replace_wallet(OfKey(shared): OfKey, Path(id): Path<String>, body: Bytes) -> Answer {
    let (wallet, reason) = addressed(&shared, &id, &body)?;
    let wallet = shared.world.replace(wallet.id, &reason)?;
    json(StatusCode::OK, shape::wallet(&wallet, &shared.quirks))
}

/// The wallet and the reason that a request names. A wallet that the listings hide is there all the same.
fn addressed(shared: &Shared, id: &str, body: &[u8]) -> Result<(Wallet, String), Refusal> {
    let known = id.parse::<WalletId>().ok().and_then(|id| shared.world.wallet(id));
    let wallet = known.ok_or_else(|| Refusal::not_found(format!("no wallet {id}")))?;
    let Why { reason } = params::body(body)?;
    Ok((wallet, params::required("reason", reason)?))
}

fn json(status: StatusCode, text: Result<Box<RawValue>, serde_json::Error>) -> Answer {
    let text = text.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let content_type = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    Ok((status, content_type, String::from(Box::<str>::from(text))).into_response())
}
