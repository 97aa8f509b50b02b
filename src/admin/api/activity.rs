//! What went on in the last day, hour by hour.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::route::{Nothing, Route};
use crate::admin::{Admin, Problem};
use crate::model::delivery::State;
use crate::store::activity::{self, Hour as Counted};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::list("/api/activity", "What went on in the last 24 hours, hour by hour", activity)]
}

#[derive(Debug, Serialize, JsonSchema)]
struct Activity {
    /// Whole hours, the oldest first; the last one is not over yet. It and the one before are counted anew every few seconds,
    /// the others every few minutes.
    hours: Vec<Hour>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Hour {
    begins_at: DateTime<Utc>,
    /// Deposits that were made in this hour.
    deposits: i64,
    /// The exact sums of their amounts, by currency; null if there are too many deposits to add up.
    volume: Option<Vec<Volume>>,
    /// What became of the deliveries that were queued in this hour, by endpoint.
    deliveries: BTreeMap<String, Fates>,
    /// How long those of them took that were delivered, from noticing the event to the answer that accepted it; replays
    /// and history do not count. Null if there are none.
    latency: Option<Latency>,
    /// Requests to Lumo of the rounds and full scans that began in this hour.
    requests: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Volume {
    /// Null for deposits that name no currency.
    currency: Option<String>,
    /// A decimal.
    amount: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Latency {
    p50_ms: i64,
    p99_ms: i64,
    /// Of how many deliveries: where there are many, of a sample.
    deliveries: i64,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
struct Fates {
    delivered: i64,
    waiting: i64,
    dead: i64,
    skipped: i64,
    /// Not sent: the endpoint's `when` was false, or a newer balance took their place.
    left_out: i64,
}

async fn activity(admin: Admin, _: Nothing) -> Result<Activity, Problem> {
    let counted = admin.activity().await?;
    Ok(Activity { hours: counted.iter().map(hour).collect() })
}

fn hour(counted: &Counted) -> Hour {
    let mut deliveries: BTreeMap<String, Fates> = BTreeMap::new();
    for (endpoint, state, count) in &counted.deliveries {
        let fates = deliveries.entry(endpoint.to_string()).or_default();
        *match state {
            State::Delivered => &mut fates.delivered,
            State::Dead => &mut fates.dead,
            State::Skipped => &mut fates.skipped,
            State::Filtered | State::Superseded => &mut fates.left_out,
            State::Pending | State::Sending | State::Retrying | State::AwaitingAck | State::Held => &mut fates.waiting,
        } += count;
    }
    Hour {
        begins_at: counted.begins_at,
        deposits: counted.deposits,
        volume: counted.volume.as_ref().map(|sums| sums.iter().map(volume).collect()),
        deliveries,
        latency: counted.latency.map(latency),
        requests: counted.requests,
    }
}

fn volume(sum: &activity::Volume) -> Volume {
    Volume { currency: sum.currency.clone(), amount: sum.amount.to_string() }
}

const fn latency(took: activity::Latency) -> Latency {
    Latency { p50_ms: took.p50_ms, p99_ms: took.p99_ms, deliveries: took.deliveries }
}
