//! What went on in the last day, hour by hour.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::admin::route::{Nothing, Route};
use crate::admin::{Admin, Problem};
use crate::model::delivery::State;
use crate::store::activity::Hour as Counted;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::list("/api/activity", "Deposits and deliveries of the last 24 hours, hour by hour", activity)]
}

#[derive(Debug, Serialize, JsonSchema)]
struct Activity {
    /// The oldest first; the last one ends about now.
    hours: Vec<Hour>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Hour {
    begins_at: DateTime<Utc>,
    /// Deposits that were made in this hour.
    deposits: i64,
    /// What became of the deliveries that were queued in this hour, by endpoint.
    deliveries: BTreeMap<String, Fates>,
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
    Hour { begins_at: counted.begins_at, deposits: counted.deposits, deliveries }
}
