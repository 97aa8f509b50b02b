//! `/metrics`: how far each listing is synced, how deliveries fare, and what this process has done, as Prometheus reads it.
//!
//! What is read off the tables is the same whichever process is asked; what is counted is of this process.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use super::Admin;
use crate::chain::Chain;
use crate::lumo::Speed;
use crate::meter::Exposition;
use crate::model::Listing;
use crate::store::query::Count;
use crate::store::{self, Progress};
use crate::view;

/// A number that each listing has, if it is known.
struct Gauge {
    name: &'static str,
    help: &'static str,
    value: fn(&Progress, DateTime<Utc>) -> Option<String>,
}

const LISTINGS: [Gauge; 9] = [
    Gauge {
        name: "lumo_bridge_sync_complete_through_timestamp_seconds",
        help: "Everything that was listed before this time is in the tables, by the last complete round.",
        value: |progress, _| progress.complete_through.map(seconds),
    },
    Gauge {
        name: "lumo_bridge_sync_complete_through_age_seconds",
        help: "How long ago that is.",
        value: |progress, now| progress.complete_through.map(|time| age(time, now)),
    },
    Gauge {
        name: "lumo_bridge_sync_proved_through_timestamp_seconds",
        help: "Everything that was listed before this time is in the tables, by the last reading of the whole list.",
        value: |progress, _| progress.proved_through.map(seconds),
    },
    Gauge {
        name: "lumo_bridge_sync_proved_through_age_seconds",
        help: "How long ago that is.",
        value: |progress, now| progress.proved_through.map(|time| age(time, now)),
    },
    Gauge {
        name: "lumo_bridge_sync_last_round_timestamp_seconds",
        help: "When the last round ended, complete or not.",
        value: |progress, _| progress.last_run_at.map(seconds),
    },
    Gauge {
        name: "lumo_bridge_sync_gap_rows",
        help: "The total that the server told, less the rows that are stored as listed.",
        value: |progress, _| progress.gap.map(|gap| gap.to_string()),
    },
    Gauge {
        name: "lumo_bridge_sync_removals_held",
        help: "Rows that left the list and are held back from being called missing.",
        value: |progress, _| Some(progress.removals_held.unwrap_or(0).to_string()),
    },
    Gauge {
        name: "lumo_bridge_sync_stalled",
        help: "1 while no round is complete for too long.",
        value: |progress, _| Some(u8::from(progress.stalled_since.is_some()).to_string()),
    },
    Gauge {
        name: "lumo_bridge_sync_unauthorized",
        help: "1 while the API key is refused.",
        value: |progress, _| Some(u8::from(progress.unauthorized_since.is_some()).to_string()),
    },
];

/// Seconds since 1970, with all digits that the time has.
fn seconds(time: DateTime<Utc>) -> String {
    format!("{}.{:06}", time.timestamp(), time.timestamp_subsec_micros())
}

/// Seconds since then, in milliseconds.
fn age(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let milliseconds = (now - time).num_milliseconds().max(0);
    format!("{}.{:03}", milliseconds / 1_000, milliseconds % 1_000)
}

pub(super) async fn metrics(State(admin): State<Admin>) -> Response {
    match expose(&admin).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", Chain(&error))).into_response(),
    }
}

async fn expose(admin: &Admin) -> Result<String, store::Error> {
    let now = admin.clock.now();
    let (mut standings, mut rejects) = (Vec::new(), Vec::new());
    for listing in Listing::ALL {
        standings.push((listing, admin.store.progress(listing).await?));
        rejects.push((listing, admin.store.rejects(listing).await?));
    }
    let (counts, endpoints) = (admin.counts().await?, admin.endpoint_views().await?);
    let mut text = Exposition::default();
    let is_ready = super::health::blocking(admin).await?.is_empty();
    text.gauge("lumo_bridge_ready", "1 while `/readyz` answers 200; its body says what is wrong.", u8::from(is_ready));
    let account = admin.store.account().await?;
    let is_accepted = account.is_none_or(|account| account.wrong_since.is_none());
    let help = "0 while the API key is of another company than the tables, or the server another one.";
    text.gauge("lumo_bridge_account_accepted", help, u8::from(is_accepted));
    listings(&mut text, &standings, now);
    let name = "lumo_bridge_sync_rejects";
    text.family(name, "gauge", "Items of the lists that cannot be read and are kept aside.");
    for (listing, count) in rejects {
        text.sample(name, [("listing", listing.as_str())], count);
    }
    text.gauge(
        "lumo_bridge_sync_leads",
        "1 if this process is the one that reads the listings.",
        u8::from(admin.lead.is_held()),
    );
    admin.syncer.meters().write(&mut text);
    let help = "Users whose deposits this process looks for between the rounds.";
    let users = if admin.lead.is_held() { admin.syncer.watched_users() } else { 0 };
    text.gauge("lumo_bridge_watched_users", help, users);
    speed(&mut text, admin.client.speed());
    admin.client.meters().write(&mut text);
    deliveries(&mut text, &counts, &endpoints, now);
    admin.deliveries.write(&mut text);
    admin.store.meters().write(&mut text);
    process(&mut text, admin);
    Ok(text.into_text())
}

fn speed(text: &mut Exposition, speed: Speed) {
    text.gauge(
        "lumo_bridge_lumo_rate_requests_per_second",
        "Requests to Lumo that this process allows itself at present.",
        speed.rate,
    );
    text.gauge(
        "lumo_bridge_lumo_rate_ceiling_requests_per_second",
        "Requests to Lumo that this process may make by its configuration.",
        speed.ceiling,
    );
    text.gauge(
        "lumo_bridge_lumo_wait_seconds",
        "How long this process asks Lumo nothing, because Lumo answered 429 or 503; 0 while it asks.",
        speed.wait.as_secs_f64(),
    );
}

fn listings(text: &mut Exposition, standings: &[(Listing, Progress)], now: DateTime<Utc>) {
    for Gauge { name, help, value } in &LISTINGS {
        text.family(name, "gauge", help);
        for (listing, progress) in standings {
            if let Some(value) = value(progress, now) {
                text.sample(name, [("listing", listing.as_str())], value);
            }
        }
    }
}

fn deliveries(text: &mut Exposition, counts: &[Count], endpoints: &[view::Endpoint], now: DateTime<Utc>) {
    let name = "lumo_bridge_deliveries";
    text.family(name, "gauge", "Deliveries that are not delivered, by their state.");
    for Count { endpoint, state, deliveries, .. } in counts {
        text.sample(name, [("endpoint", endpoint.as_str()), ("state", state.as_str())], deliveries);
    }
    let name = "lumo_bridge_delivery_oldest_wait_seconds";
    text.family(name, "gauge", "How long the oldest delivery waits that is not finished; 0 if none does.");
    for endpoint in endpoints {
        let wait = endpoint.oldest_waiting_at.map_or_else(|| "0".to_owned(), |since| age(since, now));
        text.sample(name, [("endpoint", endpoint.name.as_str())], wait);
    }
    let name = "lumo_bridge_endpoint_hold_until_timestamp_seconds";
    text.family(
        name,
        "gauge",
        "Until when an endpoint is left alone: by its `Retry-After`, or until the next probe; 0 if it is not.",
    );
    for endpoint in endpoints {
        let until = endpoint.hold_until.filter(|until| *until > now).map_or_else(|| "0".to_owned(), seconds);
        text.sample(name, [("endpoint", endpoint.name.as_str())], until);
    }
    let name = "lumo_bridge_endpoint_state";
    text.family(name, "gauge", "1 for the state that an endpoint is in.");
    for endpoint in endpoints {
        if let Some(state) = endpoint.state {
            text.sample(name, [("endpoint", endpoint.name.as_str()), ("state", state)], 1);
        }
    }
}

fn process(text: &mut Exposition, admin: &Admin) {
    let name = "lumo_bridge_build_info";
    text.family(name, "gauge", "1, with the version of the program.");
    text.sample(name, [("version", env!("CARGO_PKG_VERSION"))], 1);
    text.gauge(
        "lumo_bridge_process_uptime_seconds",
        "How long the process runs.",
        admin.0.started_at.elapsed().as_secs(),
    );
    if let Some(bytes) = resident_memory() {
        text.gauge("lumo_bridge_process_resident_memory_bytes", "Memory that the process has in use.", bytes);
    }
}

/// As the kernel tells it, where it does so in this way.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_not_known_is_left_out() {
        let progress = Progress {
            complete_through: DateTime::from_timestamp(1_777_889_501, 20_000_000),
            gap: Some(-3),
            unauthorized_since: DateTime::from_timestamp(1, 0),
            ..Progress::fresh("wallets")
        };
        let now = DateTime::from_timestamp(1_777_889_503, 0).unwrap();
        let mut text = Exposition::default();
        listings(&mut text, &[(Listing::Wallets, progress)], now);
        let text = text.into_text();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"lumo_bridge_sync_complete_through_timestamp_seconds{listing="wallets"} 1777889501.020000"#,
                r#"lumo_bridge_sync_complete_through_age_seconds{listing="wallets"} 1.980"#,
                r#"lumo_bridge_sync_gap_rows{listing="wallets"} -3"#,
                r#"lumo_bridge_sync_removals_held{listing="wallets"} 0"#,
                r#"lumo_bridge_sync_stalled{listing="wallets"} 0"#,
                r#"lumo_bridge_sync_unauthorized{listing="wallets"} 1"#,
            ]
        );
    }

    #[test]
    fn what_waits_is_told_with_its_age() {
        let now = DateTime::from_timestamp(100, 0).unwrap();
        let endpoint = view::Endpoint {
            name: "shop".to_owned(),
            state: Some("failing"),
            oldest_waiting_at: DateTime::from_timestamp(40, 500_000_000),
            hold_until: DateTime::from_timestamp(130, 0),
            ..view::Endpoint::default()
        };
        let mut text = Exposition::default();
        deliveries(&mut text, &[], &[endpoint], now);
        let text = text.into_text();
        assert!(text.contains("lumo_bridge_delivery_oldest_wait_seconds{endpoint=\"shop\"} 59.500\n"), "{text}");
        let until = "lumo_bridge_endpoint_hold_until_timestamp_seconds{endpoint=\"shop\"} 130.000000\n";
        assert!(text.contains(until), "{text}");
        assert!(text.contains("lumo_bridge_endpoint_state{endpoint=\"shop\",state=\"failing\"} 1\n"), "{text}");
    }
}
