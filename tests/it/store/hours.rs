//! What went on in an hour: its deposits, what they amount to, what became of its events, and nothing of the hours around it.

use lumo_bridge::model::Listing;
use lumo_bridge::model::delivery::State;
use lumo_bridge::model::id::EndpointName;
use lumo_bridge::model::record::Deposit;
use lumo_bridge::store::activity::{HOUR, Hour, Latency, Volume};

use super::fixture::{at, deposit, endpoint, ingest, migrated, noticed, round, shop};
use super::leader::{Came, Leader};
use crate::database::{Database, on_each_database};

on_each_database!(an_hour_has_what_happened_in_it);

/// A deposit of this amount, made then.
fn paid(id: &str, amount: &str, currency: Option<&str>, seconds: i64) -> Deposit {
    let currency = currency.map(str::to_owned);
    noticed(Deposit { amount: amount.parse().ok(), currency, created_at: Some(at(seconds)), ..deposit(id) })
}

fn volume(currency: Option<&str>, amount: &str) -> Volume {
    Volume { currency: currency.map(str::to_owned), amount: amount.parse().unwrap() }
}

fn of_shop(told: &[(State, i64)]) -> Vec<(EndpointName, State, i64)> {
    told.iter().map(|(state, deliveries)| (endpoint("shop"), *state, *deliveries)).collect()
}

/// The tests begin twenty minutes after ten.
const TEN: i64 = -20 * 60;
const ELEVEN: i64 = TEN + 60 * 60;

async fn an_hour_has_what_happened_in_it(database: Database) {
    let store = migrated(&database, &shop()).await;
    let usdt = Some("USDT");
    let first = [
        paid("dead", "0.1", usdt, TEN),
        paid("delivered", "0.2", usdt, 1),
        paid("retried", "5", None, 1),
        paid("early", "7", usdt, TEN - 1),
    ];
    ingest(&store, &first, at(1)).await;
    let mut leader = Leader::of(&store, "shop", at(1)).await;
    let came = |id: &str| match id {
        "dead" => Came::Dead,
        "retried" => Came::RetryAt(at(ELEVEN + 900)),
        _ => Came::Delivered,
    };
    leader.pass(9, at(2), |next| came(next.event.stream.trim_start_matches("deposit:"))).await;
    ingest(&store, &[paid("later", "3", usdt, ELEVEN)], at(ELEVEN)).await;
    leader.pass(9, at(ELEVEN + 1), |_| Came::Delivered).await;
    // The endpoint has not reached this one.
    ingest(&store, &[paid("last", "4", usdt, ELEVEN + 60)], at(ELEVEN + 60)).await;
    for seconds in [TEN, 0, ELEVEN] {
        store.finish_pass(&round(Listing::Deposits, at(seconds), at(seconds + 1)), None, None).await.unwrap();
    }

    let hour = async |begins: i64| store.hour(at(begins)).await.unwrap();
    let took = |p50_ms, deliveries| Some(Latency { p50_ms, p99_ms: p50_ms, deliveries });
    let ten = Hour {
        begins_at: at(TEN),
        deposits: 3,
        volume: Some(vec![volume(None, "5"), volume(usdt, "0.3")]),
        deliveries: of_shop(&[(State::Dead, 1), (State::Delivered, 2), (State::Retrying, 1)]),
        latency: took(1_012, 2),
        requests: 2,
    };
    assert_eq!(hour(TEN).await, ten);
    let eleven = Hour {
        begins_at: at(ELEVEN),
        deposits: 2,
        volume: Some(vec![volume(usdt, "7")]),
        deliveries: of_shop(&[(State::Delivered, 1), (State::Pending, 1)]),
        latency: took(1_012, 1),
        requests: 1,
    };
    assert_eq!(hour(ELEVEN).await, eleven);
    let nine = Hour { begins_at: at(TEN) - HOUR, deposits: 1, volume: Some(vec![volume(usdt, "7")]), ..nothing() };
    assert_eq!(hour(TEN - 3600).await, nine);
    assert_eq!(hour(ELEVEN + 3600).await, Hour { begins_at: at(ELEVEN) + HOUR, ..nothing() });

    // What becomes of its events later is counted in their hour.
    leader.deliver(at(ELEVEN + 1_000)).await;
    let deliveries = hour(TEN).await.deliveries;
    assert_eq!(deliveries, of_shop(&[(State::Dead, 1), (State::Delivered, 3)]));
}

fn nothing() -> Hour {
    let volume = Some(Vec::new());
    Hour { begins_at: at(0), deposits: 0, volume, deliveries: Vec::new(), latency: None, requests: 0 }
}
