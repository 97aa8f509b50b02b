//! Measures how long the deliveries of an hour took: from noticing the event to the answer that accepted it.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;

use super::Events;
use crate::store::admin::deliveries::Scope;
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

/// About how many deliveries of an hour are measured. They are spread evenly over its events.
const SAMPLE: i64 = 2_000;

/// How long deliveries took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50_ms: i64,
    /// 99 of 100 took no longer.
    pub p99_ms: i64,
    /// How many deliveries were measured.
    pub deliveries: i64,
}

#[derive(FromQueryResult)]
struct Accepted {
    started_at: DateTime<Utc>,
    duration_ms: i64,
    detected_at: DateTime<Utc>,
}

impl Accepted {
    /// From noticing to accepting. The clocks of two processes may differ.
    fn milliseconds(&self) -> i64 {
        (self.started_at - self.detected_at).num_milliseconds().saturating_add(self.duration_ms).max(0)
    }
}

impl Latency {
    /// None if there are no times.
    fn of(mut times: Vec<i64>) -> Option<Self> {
        times.sort_unstable();
        let deliveries = i64::try_from(times.len()).unwrap_or(i64::MAX);
        Some(Self { p50_ms: percentile(&times, 50)?, p99_ms: percentile(&times, 99)?, deliveries })
    }
}

/// The smallest of the sorted times that is not exceeded by `percent` of them; none if there are no times.
fn percentile(times: &[i64], percent: usize) -> Option<i64> {
    let rank = (times.len() * percent).div_ceil(100);
    times.get(rank.checked_sub(1)?).copied()
}

impl Events {
    /// Only every n-th event is measured, with this n.
    fn step(self, endpoints: usize) -> i64 {
        let endpoints = i64::try_from(endpoints).unwrap_or(i64::MAX);
        (self.end.saturating_sub(self.first).saturating_mul(endpoints) / SAMPLE).max(1)
    }
}

impl Store {
    /// How long the deliveries of these events took. Replays and history do not count.
    pub(super) async fn latency_in(&self, scopes: &[Scope], events: Events) -> Result<Option<Latency>, Error> {
        let step = events.step(scopes.len());
        let mut times = Vec::new();
        for scope in scopes {
            times.extend(self.accepted(scope, events, step).await?.iter().map(Accepted::milliseconds));
        }
        Ok(Latency::of(times))
    }

    async fn accepted(&self, scope: &Scope, Events { first, end }: Events, step: i64) -> Result<Vec<Accepted>, Error> {
        let text = "SELECT a.started_at, a.duration_ms, e.detected_at FROM lumo_delivery_attempts a \
             JOIN lumo_events e ON e.seq = a.seq WHERE a.endpoint = ? AND a.seq >= ? AND a.seq < ? \
             AND a.result = 'delivered' AND a.reason = 'live' AND a.seq % ? = 0";
        let values = [scope.name.clone().into(), first.into(), end.into(), step.into()];
        let sql = Sql::new(self.backend(), text, values);
        Ok(Accepted::find_by_statement(sql.statement()).all(self.read()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_taken() {
        let of = |times: &[i64]| Latency::of(times.to_vec()).map(|latency| (latency.p50_ms, latency.p99_ms));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some((7, 7)));
        assert_eq!(of(&[30, 10, 20]), Some((20, 30)));
        assert_eq!(of(&(1..=1000).rev().collect::<Vec<_>>()), Some((500, 990)));
    }

    #[test]
    fn of_many_events_only_some_are_looked_at() {
        let events = |first, end| Events { first, end };
        assert_eq!(events(1, 1_001).step(4), 2);
        assert_eq!(events(1_001, 1_001).step(4), 1, "there are none");
        assert_eq!(events(1_001, 101_001).step(4), 200);
    }
}
