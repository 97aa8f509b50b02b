//! The control side, under `/_control`: change the world, inject faults, start life, from another process.
//!
//! JSON in and out, in snake case to tell it from the API it controls, and no key: it is a simulator. Rows are printed as
//! the world holds them, with amounts as exact number literals. A body with an unknown field is refused.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::simulator::Shared;
use crate::simulator::fault::Fault;
use crate::simulator::params::{self, required};
use crate::simulator::refusal::{self, Refusal};
use crate::simulator::requests::Operation;
use crate::world::{DepositId, WalletId};

type Answer = Result<Response, Refusal>;

pub(crate) fn router(shared: &Shared) -> Router {
    let routes = Router::new()
        .route("/wallets", post(add_wallet))
        .route("/wallets/{id}", delete(remove_wallet))
        .route("/wallets/{id}/block", post(block))
        .route("/wallets/{id}/unblock", post(unblock))
        .route("/wallets/{id}/replace", post(replace))
        .route("/wallets/{id}/balance", post(set_balance))
        .route("/deposits", post(add_deposit))
        .route("/deposits/{id}", delete(remove_deposit))
        .route("/deposits/{id}/status", post(set_status))
        .route("/key", get(key).post(rotate_key))
        .route("/faults", get(faults).post(inject).delete(clear_faults))
        .route("/life", get(life).post(start_life).delete(stop_life))
        .route("/step", post(step))
        .route("/snapshot", get(snapshot))
        .route("/requests", get(requests))
        .method_not_allowed_fallback(refusal::no_such_method)
        .with_state(shared.clone());
    Router::new().nest("/_control", routes)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewWallet {
    external_id: String,
}

async fn add_wallet(State(shared): State<Shared>, body: Bytes) -> Answer {
    let NewWallet { external_id } = params::body(&body)?;
    json(&shared.world.add_wallet(&required("external_id", external_id)?))
}

async fn remove_wallet(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    json(&shared.world.remove_wallet(wallet_id(&id)?)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: String,
}

async fn block(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> Answer {
    let Why { reason } = params::body(&body)?;
    json(&shared.world.block(wallet_id(&id)?, &required("reason", reason)?)?)
}

async fn unblock(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    json(&shared.world.unblock(wallet_id(&id)?)?)
}

async fn replace(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> Answer {
    let Why { reason } = params::body(&body)?;
    json(&shared.world.replace(wallet_id(&id)?, &required("reason", reason)?)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Balance {
    usdt: Amount,
    trx: Amount,
}

async fn set_balance(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> Answer {
    let Balance { usdt, trx } = params::body(&body)?;
    json(&shared.world.set_balance(wallet_id(&id)?, usdt.as_str(), trx.as_str())?)
}

/// Exactly one of `external_id` and `wallet_id`; without an amount, any.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDeposit {
    external_id: Option<String>,
    wallet_id: Option<String>,
    amount: Option<Amount>,
}

async fn add_deposit(State(shared): State<Shared>, body: Bytes) -> Answer {
    let new: NewDeposit = params::body(&body)?;
    let world = &shared.world;
    let wallet = match (new.external_id, new.wallet_id) {
        (Some(external_id), None) => world.add_wallet(&required("external_id", external_id)?).id,
        (None, Some(id)) => wallet_id(&id)?,
        _ => return Err(Refusal::bad_request("either external_id or wallet_id is needed")),
    };
    match new.amount {
        Some(amount) => json(&world.add_deposit_of(wallet, amount.as_str())?),
        None => json(&world.add_deposit(wallet)?),
    }
}

async fn remove_deposit(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    json(&shared.world.remove_deposit(deposit_id(&id)?)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    status: String,
}

async fn set_status(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> Answer {
    let NewStatus { status } = params::body(&body)?;
    json(&shared.world.set_deposit_status(deposit_id(&id)?, &required("status", status)?)?)
}

#[derive(Serialize)]
struct Key {
    api_key: String,
}

async fn key(State(shared): State<Shared>) -> Answer {
    json(&Key { api_key: shared.world.api_key() })
}

async fn rotate_key(State(shared): State<Shared>) -> Answer {
    json(&Key { api_key: shared.world.rotate_key() })
}

/// The next `times` requests (one if it is missing), of one operation if it is named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Injection {
    fault: Option<Fault>,
    times: Option<u32>,
    operation: Option<Operation>,
    random: Option<Random>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Random {
    probability: f64,
    #[serde(default)]
    seed: u64,
    faults: Vec<Fault>,
}

#[derive(Serialize)]
struct FaultCounts {
    waiting: usize,
    injected: u64,
}

async fn inject(State(shared): State<Shared>, body: Bytes) -> Answer {
    let Injection { fault, times, operation, random } = params::body(&body)?;
    if fault.is_none() && random.is_none() {
        return Err(Refusal::bad_request("fault or random is needed"));
    }
    if let Some(fault) = fault {
        let times = times.unwrap_or(1);
        match operation {
            Some(operation) => shared.faults.inject_on(operation, times, fault),
            None => shared.faults.inject(times, fault),
        }
    }
    if let Some(Random { probability, seed, faults }) = random {
        shared.faults.at_random(seed, probability, faults);
    }
    fault_counts(&shared)
}

async fn faults(State(shared): State<Shared>) -> Answer {
    fault_counts(&shared)
}

async fn clear_faults(State(shared): State<Shared>) -> Answer {
    shared.faults.clear();
    fault_counts(&shared)
}

fn fault_counts(shared: &Shared) -> Answer {
    json(&FaultCounts { waiting: shared.faults.waiting(), injected: shared.faults.injected() })
}

/// Zero stops it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pace {
    per_second: f64,
}

#[derive(Serialize)]
struct PaceNow {
    per_second: Option<f64>,
}

async fn start_life(State(shared): State<Shared>, body: Bytes) -> Answer {
    let Pace { per_second } = params::body(&body)?;
    if per_second.is_sign_negative() {
        return Err(Refusal::bad_request("per_second must not be less than 0"));
    }
    shared.life.start(per_second);
    pace(&shared)
}

async fn stop_life(State(shared): State<Shared>) -> Answer {
    shared.life.stop();
    pace(&shared)
}

async fn life(State(shared): State<Shared>) -> Answer {
    pace(&shared)
}

fn pace(shared: &Shared) -> Answer {
    json(&PaceNow { per_second: shared.life.per_second() })
}

#[derive(Serialize)]
struct Done {
    step: String,
}

async fn step(State(shared): State<Shared>) -> Answer {
    json(&Done { step: shared.world.random_step().to_string() })
}

async fn snapshot(State(shared): State<Shared>) -> Answer {
    json(&shared.world.snapshot())
}

#[derive(Serialize)]
struct RequestCount {
    operation: Operation,
    count: u64,
}

async fn requests(State(shared): State<Shared>) -> Answer {
    let count = |operation| RequestCount { operation, count: shared.requests.of(operation) };
    json(&Operation::ALL.map(count))
}

fn wallet_id(text: &str) -> Result<WalletId, Refusal> {
    text.parse().map_err(|_| Refusal::not_found(format!("no wallet {text}")))
}

fn deposit_id(text: &str) -> Result<DepositId, Refusal> {
    text.parse().map_err(|_| Refusal::not_found(format!("no deposit {text}")))
}

/// Straight to text, since amounts would lose digits on the way through a JSON value.
fn json<T: Serialize>(value: &T) -> Answer {
    let text = serde_json::to_string(value)
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}
