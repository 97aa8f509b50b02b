//! Measures how long deliveries took per hour: from noticing the event to the answer that accepted it.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;

use super::{Hour, HourBounds};
use crate::store::admin::deliveries::Scope;
use crate::store::db::statement::Sql;
use crate::store::{Error, Store};

/// About so many deliveries of each hour are looked at, spread evenly over its events.
const SAMPLE: i64 = 2_000;

/// How long deliveries took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50_ms: i64,
    /// 99 of 100 took no longer.
    pub p99_ms: i64,
    /// How many were looked at.
    pub deliveries: i64,
}

#[derive(FromQueryResult)]
struct Accepted {
    seq: i64,
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

/// The smallest of the times, which are sorted, that so many percent of them do not exceed.
fn percentile(times: &[i64], percent: usize) -> Option<i64> {
    let rank = (times.len() * percent).div_ceil(100);
    times.get(rank.checked_sub(1)?).copied()
}

impl HourBounds {
    /// Of each hour, one of so many events is looked at. `end` is the number after the last event.
    fn steps(&self, endpoints: i64, end: i64) -> Vec<i64> {
        let ends = self.0.iter().skip(1).copied().chain([end]);
        let events = self.0.iter().zip(ends).map(|(first, end)| end.saturating_sub(*first));
        events.map(|events| (events.saturating_mul(endpoints) / SAMPLE).max(1)).collect()
    }
}

impl Store {
    /// Adds how long the deliveries of each hour's events took. Replays and history do not count.
    pub(super) async fn add_latencies(
        &self,
        hours: &mut [Hour],
        scopes: &[Scope],
        bounds: &HourBounds,
    ) -> Result<(), Error> {
        let endpoints = i64::try_from(scopes.len()).unwrap_or(i64::MAX);
        let steps = bounds.steps(endpoints, self.last_seq().await?.saturating_add(1));
        let mut times: Vec<Vec<i64>> = vec![Vec::new(); hours.len()];
        for scope in scopes {
            for accepted in self.accepted(scope, bounds, &steps).await? {
                if let Some(times) = bounds.hour_of(accepted.seq).and_then(|hour| times.get_mut(hour)) {
                    times.push(accepted.milliseconds());
                }
            }
        }
        for (hour, times) in hours.iter_mut().zip(times) {
            hour.latency = Latency::of(times);
        }
        Ok(())
    }

    async fn accepted(&self, scope: &Scope, bounds: &HourBounds, steps: &[i64]) -> Result<Vec<Accepted>, Error> {
        let (step, values) = bounds.case("a.seq", |hour| steps.get(hour).copied().unwrap_or(1), 1);
        let text = "SELECT a.seq, a.started_at, a.duration_ms, e.detected_at FROM lumo_delivery_attempts a \
                    JOIN lumo_events e ON e.seq = a.seq";
        let sql = Sql::new(self.backend(), text, [])
            .and(" WHERE a.endpoint = ? AND a.seq >= ?", [scope.name.clone().into(), bounds.first().into()])
            .and(" AND a.result = 'delivered' AND a.reason = 'live'", [])
            .and(&format!(" AND a.seq % ({step}) = 0"), values);
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
        let bounds = HourBounds(vec![1, 1_001, 1_001, 101_001]);
        assert_eq!(bounds.steps(4, 101_002), [2, 1, 200, 1]);
        let (step, values) = HourBounds(vec![10, 20]).case("a.seq", |hour| [3, 4][hour], 1);
        assert_eq!(step, "CASE WHEN a.seq >= ? THEN ? WHEN a.seq >= ? THEN ? ELSE ? END");
        assert_eq!(values, [20_i64, 4, 10, 3, 1].map(sea_orm::Value::from));
    }
}
