//! `/metrics`: how far each listing is synced, as Prometheus reads it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use crate::chain::Chain;
use crate::model::Listing;
use crate::store::{Progress, Store};

/// A number that each listing has, if it is known.
struct Gauge {
    name: &'static str,
    help: &'static str,
    value: fn(&Progress) -> Option<String>,
}

const GAUGES: [Gauge; 6] = [
    Gauge {
        name: "lumo_bridge_sync_complete_through_timestamp_seconds",
        help: "Everything that was listed before this time is in the tables, by the last complete round.",
        value: |progress| progress.complete_through.map(seconds),
    },
    Gauge {
        name: "lumo_bridge_sync_proved_through_timestamp_seconds",
        help: "Everything that was listed before this time is in the tables, by the last reading of the whole list.",
        value: |progress| progress.proved_through.map(seconds),
    },
    Gauge {
        name: "lumo_bridge_sync_last_round_timestamp_seconds",
        help: "When the last round ended, complete or not.",
        value: |progress| progress.last_run_at.map(seconds),
    },
    Gauge {
        name: "lumo_bridge_sync_gap_rows",
        help: "The total that the server told, less the rows that are stored as listed.",
        value: |progress| progress.gap.map(|gap| gap.to_string()),
    },
    Gauge {
        name: "lumo_bridge_sync_stalled",
        help: "1 while no round is complete for too long.",
        value: |progress| Some(u8::from(progress.stalled_since.is_some()).to_string()),
    },
    Gauge {
        name: "lumo_bridge_sync_unauthorized",
        help: "1 while the API key is refused.",
        value: |progress| Some(u8::from(progress.unauthorized_since.is_some()).to_string()),
    },
];

/// Seconds since 1970, with all digits that the time has.
fn seconds(time: DateTime<Utc>) -> String {
    format!("{}.{:06}", time.timestamp(), time.timestamp_subsec_micros())
}

pub(super) async fn metrics(State(store): State<Arc<Store>>) -> Response {
    let mut standings = Vec::new();
    for listing in Listing::ALL {
        match store.progress(listing).await {
            Ok(progress) => standings.push((listing, progress)),
            Err(error) => {
                return (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", Chain(&error))).into_response();
            }
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], render(&standings)).into_response()
}

fn render(standings: &[(Listing, Progress)]) -> String {
    let mut text = String::new();
    for Gauge { name, help, value } in &GAUGES {
        let samples = standings.iter().filter_map(|(listing, progress)| {
            value(progress).map(|value| format!("{name}{{listing=\"{listing}\"}} {value}\n"))
        });
        text.extend([format!("# HELP {name} {help}\n# TYPE {name} gauge\n")].into_iter().chain(samples));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_not_known_is_left_out() {
        let progress = Progress {
            listing: "wallets".to_owned(),
            import_started_at: None,
            import_done_at: None,
            page_limit: None,
            last_total: None,
            complete_through: DateTime::from_timestamp(1_777_889_501, 20_000_000),
            last_run_at: None,
            last_error: None,
            proved_through: None,
            gap: Some(-3),
            stalled_since: None,
            unauthorized_since: DateTime::from_timestamp(1, 0),
            memory: None,
        };
        let text = render(&[(Listing::Wallets, progress)]);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                r#"lumo_bridge_sync_complete_through_timestamp_seconds{listing="wallets"} 1777889501.020000"#,
                r#"lumo_bridge_sync_gap_rows{listing="wallets"} -3"#,
                r#"lumo_bridge_sync_stalled{listing="wallets"} 0"#,
                r#"lumo_bridge_sync_unauthorized{listing="wallets"} 1"#,
            ]
        );
    }
}
