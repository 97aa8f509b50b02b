//! `/metrics`: how far each listing is synced, how deliveries fare, and what this process has done, as Prometheus reads it.
//!
//! What is read off the tables is the same whichever process is asked; what is counted is of this process. A number that is
//! not known yet has no series, nor has what is read off the tables while the database does not answer; every other series is
//! there from the start.

mod format;
mod process;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use prometheus_client::encoding::{EncodeGaugeValue, EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::format::Format;
use super::{Admin, health};
use crate::chain::Chain;
use crate::lumo::Speed;
use crate::model::{Listing, delivery};
use crate::store::query::Count;
use crate::store::{self, Progress};
use crate::view;

/// A number that each listing has, if it is known.
struct OfListing<N> {
    name: &'static str,
    help: &'static str,
    value: fn(&Progress, DateTime<Utc>) -> Option<N>,
}

const TIMES: [OfListing<f64>; 5] = [
    OfListing {
        name: "lumo_bridge_sync_complete_through_timestamp_seconds",
        help: "Everything that was listed before this time is in the tables, by the last complete round",
        value: |progress, _| progress.complete_through.map(seconds),
    },
    OfListing {
        name: "lumo_bridge_sync_complete_through_age_seconds",
        help: "How long ago that is",
        value: |progress, now| progress.complete_through.map(|time| age(time, now)),
    },
    OfListing {
        name: "lumo_bridge_sync_proved_through_timestamp_seconds",
        help: "Everything that was listed before this time is in the tables, by the last reading of the whole list",
        value: |progress, _| progress.proved_through.map(seconds),
    },
    OfListing {
        name: "lumo_bridge_sync_proved_through_age_seconds",
        help: "How long ago that is",
        value: |progress, now| progress.proved_through.map(|time| age(time, now)),
    },
    OfListing {
        name: "lumo_bridge_sync_last_round_timestamp_seconds",
        help: "When the last round ended, complete or not",
        value: |progress, _| progress.last_run_at.map(seconds),
    },
];

const NUMBERS: [OfListing<i64>; 4] = [
    OfListing {
        name: "lumo_bridge_sync_gap_rows",
        help: "The server's total less the rows stored as listed; below 0 while rows that left are confirmed as gone",
        value: |progress, _| progress.gap,
    },
    OfListing {
        name: "lumo_bridge_sync_removals_held",
        help: "Rows that left the list and are held back from being called missing",
        value: |progress, _| Some(progress.removals_held.unwrap_or(0)),
    },
    OfListing {
        name: "lumo_bridge_sync_stalled",
        help: "1 while no round is complete for too long",
        value: |progress, _| Some(progress.stalled_since.is_some().into()),
    },
    OfListing {
        name: "lumo_bridge_sync_unauthorized",
        help: "1 while the API key is refused",
        value: |progress, _| Some(progress.unauthorized_since.is_some().into()),
    },
];

/// The states of an endpoint; the last is of one that the configuration does not name any more.
const ENDPOINT_STATES: [&str; 5] = ["active", "failing", "suspended", "paused", "removed"];

/// The label of a listing.
#[derive(Clone, Debug, EncodeLabelSet)]
struct ListingLabel {
    listing: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct EndpointLabel {
    endpoint: String,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct StateLabels {
    endpoint: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

/// Gauges of one name, in the order in which they are shown.
#[derive(Debug)]
struct Gauges<L, N>(Vec<(L, N)>);

impl<L: EncodeLabelSet, N: EncodeGaugeValue> EncodeMetric for Gauges<L, N> {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        for (labels, value) in &self.0 {
            encoder.encode_family(labels)?.encode_gauge(value)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// Seconds since 1970, with all digits that the time has.
fn seconds(time: DateTime<Utc>) -> f64 {
    time.timestamp_micros() as f64 / 1e6
}

/// Seconds since then, in milliseconds.
fn age(time: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    (now - time).num_milliseconds().max(0) as f64 / 1e3
}

pub(super) async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let format = Format::asked(&headers);
    let registry = gather(&admin).await;
    ([(header::CONTENT_TYPE, format.content_type())], format.text(&registry)).into_response()
}

/// Everything there is to show at this moment.
async fn gather(admin: &Admin) -> Registry {
    let (now, readiness) = (admin.clock.now(), health::blocking(admin).await);
    let is_ready = readiness.as_ref().is_ok_and(Vec::is_empty);
    let tables = match readiness {
        Ok(_) => Tables::load(admin).await.inspect_err(not_shown).ok(),
        // `/readyz` says why.
        Err(_) => None,
    };
    let mut registry = Registry::default();
    gauge(
        &mut registry,
        "lumo_bridge_ready",
        "1 while `/readyz` answers 200; its body says what is wrong",
        i64::from(is_ready),
    );
    if let Some(tables) = tables {
        tables.register(&mut registry, now);
    }
    own(&mut registry, admin);
    registry
}

/// What is read off the tables.
struct Tables {
    is_accepted: bool,
    standings: Vec<(Listing, Progress)>,
    rejects: Vec<(ListingLabel, u64)>,
    counts: Arc<Vec<Count>>,
    endpoints: Vec<view::Endpoint>,
}

impl Tables {
    async fn load(admin: &Admin) -> Result<Self, store::Error> {
        let (mut standings, mut rejects) = (Vec::new(), Vec::new());
        for listing in Listing::ALL {
            standings.push((listing, admin.store.progress(listing).await?));
            rejects.push((label(listing), admin.store.rejects(listing).await?));
        }
        let (counts, endpoints) = (admin.counts().await?, admin.endpoint_views().await?);
        let is_accepted = admin.store.account().await?.is_none_or(|account| account.wrong_since.is_none());
        Ok(Self { is_accepted, standings, rejects, counts, endpoints })
    }

    fn register(self, registry: &mut Registry, now: DateTime<Utc>) {
        gauge(
            registry,
            "lumo_bridge_account_accepted",
            "0 while the API key is of another company than the tables, or the server another one",
            i64::from(self.is_accepted),
        );
        listings(registry, &self.standings, now);
        registry.register(
            "lumo_bridge_sync_rejects",
            "Items of the lists that cannot be read and are kept aside",
            Gauges(self.rejects),
        );
        deliveries(registry, &self.counts, &self.endpoints, now);
    }
}

/// An outage of the database is said once, by the store, and not with every scrape.
fn not_shown(error: &store::Error) {
    if error.is_outage() {
        tracing::debug!(error = %Chain(error), "metrics of the tables not read; they are left out");
    } else {
        tracing::warn!(error = %Chain(error), "metrics of the tables not read; they are left out");
    }
}

/// What this process knows by itself.
fn own(registry: &mut Registry, admin: &Admin) {
    let is_held = admin.lead.is_held();
    gauge(
        registry,
        "lumo_bridge_sync_leads",
        "1 if this process is the one that reads the listings",
        i64::from(is_held),
    );
    admin.syncer.meters().register(registry);
    gauge(
        registry,
        "lumo_bridge_watched_users",
        "Users whose deposits this process looks for between the rounds",
        if is_held { admin.syncer.watched_users() } else { 0 },
    );
    speed(registry, admin.client.speed());
    admin.client.meters().register(registry);
    admin.deliveries.register(registry);
    admin.store.meters().register(registry);
    let version = VersionLabel { version: env!("CARGO_PKG_VERSION") };
    registry.register("lumo_bridge_build", "1, with the version of the program", Info::new(version));
    process::register(registry);
}

fn gauge<N>(registry: &mut Registry, name: &str, help: &str, value: N)
where
    N: EncodeGaugeValue + fmt::Debug + Send + Sync + 'static,
{
    registry.register(name, help, ConstGauge::new(value));
}

const fn label(listing: Listing) -> ListingLabel {
    ListingLabel { listing: listing.as_str() }
}

fn speed(registry: &mut Registry, speed: Speed) {
    gauge(
        registry,
        "lumo_bridge_lumo_rate_requests_per_second",
        "Requests to Lumo that this process allows itself at present",
        speed.rate,
    );
    gauge(
        registry,
        "lumo_bridge_lumo_rate_ceiling_requests_per_second",
        "Requests to Lumo that this process may make by its configuration",
        speed.ceiling,
    );
    gauge(
        registry,
        "lumo_bridge_lumo_wait_seconds",
        "How long this process asks Lumo nothing, because Lumo answered 429 or 503; 0 while it asks",
        speed.wait.as_secs_f64(),
    );
}

fn listings(registry: &mut Registry, standings: &[(Listing, Progress)], now: DateTime<Utc>) {
    for time in &TIMES {
        registry.register(time.name, time.help, known(standings, time, now));
    }
    for number in &NUMBERS {
        registry.register(number.name, number.help, known(standings, number, now));
    }
}

fn known<N>(standings: &[(Listing, Progress)], of: &OfListing<N>, now: DateTime<Utc>) -> Gauges<ListingLabel, N> {
    let value = |(listing, progress): &(Listing, Progress)| Some((label(*listing), (of.value)(progress, now)?));
    Gauges(standings.iter().filter_map(value).collect())
}

fn deliveries(registry: &mut Registry, counts: &[Count], endpoints: &[view::Endpoint], now: DateTime<Utc>) {
    let counted: HashMap<(&str, delivery::State), i64> =
        counts.iter().map(|count| ((count.endpoint.as_str(), count.state), count.deliveries)).collect();
    let by_state = endpoints.iter().flat_map(|endpoint| {
        let undelivered = delivery::State::ALL.into_iter().filter(|state| state.is_undelivered());
        let counted = &counted;
        undelivered.map(move |state| {
            let count = counted.get(&(endpoint.name.as_str(), state)).copied().unwrap_or_default();
            (StateLabels { endpoint: endpoint.name.clone(), state: state.as_str() }, count)
        })
    });
    registry.register(
        "lumo_bridge_deliveries",
        "Deliveries that are not delivered, by their state",
        Gauges(by_state.collect()),
    );
    let of_endpoints = |value: &dyn Fn(&view::Endpoint) -> f64| {
        let label = |endpoint: &view::Endpoint| EndpointLabel { endpoint: endpoint.name.clone() };
        Gauges(endpoints.iter().map(|endpoint| (label(endpoint), value(endpoint))).collect())
    };
    registry.register(
        "lumo_bridge_delivery_oldest_wait_seconds",
        "How long the oldest delivery waits that is not finished; 0 if none does",
        of_endpoints(&|endpoint| endpoint.oldest_waiting_at.map_or(0.0, |since| age(since, now))),
    );
    registry.register(
        "lumo_bridge_endpoint_hold_until_timestamp_seconds",
        "Until when an endpoint is left alone: by its `Retry-After`, or until the next probe; 0 if it is not",
        of_endpoints(&|endpoint| endpoint.hold_until.filter(|until| *until > now).map_or(0.0, seconds)),
    );
    let states = endpoints.iter().flat_map(|endpoint| {
        ENDPOINT_STATES.into_iter().map(|state| {
            let is_in = state == if endpoint.is_configured { endpoint.state.unwrap_or_default() } else { "removed" };
            (StateLabels { endpoint: endpoint.name.clone(), state }, i64::from(is_in))
        })
    });
    registry.register(
        "lumo_bridge_endpoint_state",
        "1 for the state that an endpoint is in, 0 for the others",
        Gauges(states.collect()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(registry: &Registry) -> Vec<String> {
        let text = Format::Classic.text(registry);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn a_number_that_is_not_known_is_left_out() {
        let progress = Progress {
            complete_through: DateTime::from_timestamp(1_777_889_501, 20_001_000),
            gap: Some(-3),
            unauthorized_since: DateTime::from_timestamp(1, 0),
            ..Progress::fresh("wallets")
        };
        let now = DateTime::from_timestamp(1_777_889_503, 0).unwrap();
        let mut registry = Registry::default();
        listings(&mut registry, &[(Listing::Wallets, progress)], now);
        assert_eq!(
            samples(&registry),
            [
                r#"lumo_bridge_sync_complete_through_timestamp_seconds{listing="wallets"} 1777889501.020001"#,
                r#"lumo_bridge_sync_complete_through_age_seconds{listing="wallets"} 1.979"#,
                r#"lumo_bridge_sync_gap_rows{listing="wallets"} -3"#,
                r#"lumo_bridge_sync_removals_held{listing="wallets"} 0"#,
                r#"lumo_bridge_sync_stalled{listing="wallets"} 0"#,
                r#"lumo_bridge_sync_unauthorized{listing="wallets"} 1"#,
            ]
        );
    }

    #[test]
    fn what_waits_is_told_with_its_age_and_what_does_not_as_nothing() {
        let now = DateTime::from_timestamp(100, 0).unwrap();
        let endpoint = view::Endpoint {
            name: "shop".to_owned(),
            state: Some("failing"),
            oldest_waiting_at: DateTime::from_timestamp(40, 500_000_000),
            hold_until: DateTime::from_timestamp(130, 0),
            ..view::Endpoint::default()
        };
        let count =
            Count { endpoint: "shop".parse().unwrap(), state: delivery::State::Held, deliveries: 7, oldest: None };
        let mut registry = Registry::default();
        deliveries(&mut registry, &[count], &[endpoint], now);
        assert_eq!(
            samples(&registry),
            [
                r#"lumo_bridge_deliveries{endpoint="shop",state="pending"} 0"#,
                r#"lumo_bridge_deliveries{endpoint="shop",state="sending"} 0"#,
                r#"lumo_bridge_deliveries{endpoint="shop",state="retrying"} 0"#,
                r#"lumo_bridge_deliveries{endpoint="shop",state="awaiting_ack"} 0"#,
                r#"lumo_bridge_deliveries{endpoint="shop",state="held"} 7"#,
                r#"lumo_bridge_deliveries{endpoint="shop",state="dead"} 0"#,
                r#"lumo_bridge_deliveries{endpoint="shop",state="skipped"} 0"#,
                r#"lumo_bridge_delivery_oldest_wait_seconds{endpoint="shop"} 59.5"#,
                r#"lumo_bridge_endpoint_hold_until_timestamp_seconds{endpoint="shop"} 130.0"#,
                r#"lumo_bridge_endpoint_state{endpoint="shop",state="active"} 0"#,
                r#"lumo_bridge_endpoint_state{endpoint="shop",state="failing"} 0"#,
                r#"lumo_bridge_endpoint_state{endpoint="shop",state="suspended"} 0"#,
                r#"lumo_bridge_endpoint_state{endpoint="shop",state="paused"} 0"#,
                r#"lumo_bridge_endpoint_state{endpoint="shop",state="removed"} 1"#,
            ]
        );
    }
}
