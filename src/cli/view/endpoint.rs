//! Endpoints: what the configuration says of each, how it fares, and what waits for it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery;
use lumo_bridge_entity::endpoint::{Model, State};
use serde::Serialize;
use url::Url;

use super::Listed;
use crate::callback::config::EndpointConfig;
use crate::cli::printer::{DIM, GREEN, RED, YELLOW};
use crate::cli::table::{Cell, Column};
use crate::cli::time::{age, ago};
use crate::model::draft::rfc3339;
use crate::store::query::Count;
use crate::store::reached;

/// An endpoint that is configured, or once was.
#[derive(Default)]
pub(in crate::cli) struct Endpoint {
    name: String,
    /// None if it is no longer in the configuration.
    config: Option<EndpointConfig>,
    /// None if nobody has delivered anything yet.
    row: Option<Model>,
    waiting: i64,
    oldest_waiting: Option<DateTime<Utc>>,
    dead: i64,
}

#[derive(Serialize)]
pub(in crate::cli) struct Json<'a> {
    name: &'a str,
    is_configured: bool,
    /// Scheme, host and port: the rest of an address may be a password.
    origin: Option<String>,
    events: Option<Vec<&'a str>>,
    state: Option<&'a str>,
    /// Since when it is not configured, as far as a daemon has noticed.
    removed_at: Option<DateTime<Utc>>,
    since: Option<DateTime<Utc>>,
    consecutive_failures: Option<i32>,
    last_success_at: Option<DateTime<Utc>>,
    hold_until: Option<DateTime<Utc>>,
    waiting: i64,
    oldest_waiting_at: Option<DateTime<Utc>>,
    dead: i64,
    /// The history that it asked for when it was new.
    #[serde(skip_serializing_if = "Option::is_none")]
    backfill: Option<BackfillJson>,
}

#[derive(Serialize)]
pub(in crate::cli) struct BackfillJson {
    since: DateTime<Utc>,
    /// Up to which time of creation it is queued.
    reached: Option<DateTime<Utc>>,
    done_at: Option<DateTime<Utc>>,
}

impl Endpoint {
    /// Puts together what is known of each, by name.
    pub(in crate::cli) fn gather(
        configs: &BTreeMap<String, EndpointConfig>,
        rows: Vec<Model>,
        counts: Vec<Count>,
    ) -> Vec<Self> {
        let mut all: BTreeMap<String, Self> = BTreeMap::new();
        let known = |all: &mut BTreeMap<String, Self>, name: &str, change: &dyn Fn(&mut Self)| {
            change(all.entry(name.to_owned()).or_insert_with(|| Self { name: name.to_owned(), ..Self::default() }));
        };
        for (name, config) in configs {
            known(&mut all, name, &|endpoint| endpoint.config = Some(config.clone()));
        }
        for row in rows {
            known(&mut all, row.name.as_str(), &|endpoint| endpoint.row = Some(row.clone()));
        }
        for count in counts {
            known(&mut all, count.endpoint.as_str(), &|endpoint| endpoint.count(&count));
        }
        all.into_values().collect()
    }

    fn count(&mut self, count: &Count) {
        match count.state {
            delivery::State::Dead => self.dead += count.deliveries,
            state if state.is_final() => {}
            _ => {
                self.waiting += count.deliveries;
                self.oldest_waiting = self.oldest_waiting.into_iter().chain([count.oldest]).min();
            }
        }
    }

    /// How far the history has come that it is being given.
    pub(in crate::cli) fn history(&self) -> Option<String> {
        let row = self.row.as_ref().filter(|row| row.backfill_since.is_some() && row.backfill_done_at.is_none())?;
        self.config.as_ref()?.backfill?;
        Some(match reached(row) {
            Some(reached) => format!("{}: history is queued up to {}", self.name, rfc3339(reached)),
            None if row.backfill_place.is_some() => format!("{}: history has begun, with stored events", self.name),
            None => format!("{}: history has yet to begin", self.name),
        })
    }

    fn origin(&self) -> Option<String> {
        let url = Url::parse(&self.config.as_ref()?.url).ok()?;
        Some(url.origin().ascii_serialization())
    }

    fn state(&self) -> Cell {
        if self.config.is_none() {
            return Cell::new("removed").styled(YELLOW);
        }
        match self.row.as_ref().map(|row| row.state) {
            None => Cell::new("new").styled(DIM),
            Some(State::Active) => Cell::new("active").styled(GREEN),
            Some(state @ (State::Failing | State::Suspended)) => Cell::new(state.as_str()).styled(RED),
            Some(State::Paused) => Cell::new("paused").styled(YELLOW),
        }
    }
}

impl Listed for Endpoint {
    const NOUN: &'static str = "endpoints";
    type Json<'a> = Json<'a>;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("ENDPOINT").flexible(),
            Column::new("STATE"),
            Column::new("WAITING").right(),
            Column::new("OLDEST").right(),
            Column::new("DEAD").right(),
            Column::new("FAILURES").right(),
            Column::new("LAST SUCCESS"),
            Column::new("WHERE").flexible().optional(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let row = self.row.as_ref();
        let dead = Cell::new(self.dead);
        vec![
            Cell::new(&self.name),
            self.state(),
            Cell::new(self.waiting),
            Cell::maybe(self.oldest_waiting.map(|oldest| age(oldest, now))),
            if self.dead > 0 { dead.styled(RED) } else { dead },
            Cell::new(row.map_or(0, |row| row.consecutive_failures)),
            Cell::maybe(row.and_then(|row| row.last_success_at).map(|at| ago(at, now))),
            Cell::maybe(self.origin()),
        ]
    }

    fn json(&self) -> Json<'_> {
        let row = self.row.as_ref();
        Json {
            name: &self.name,
            is_configured: self.config.is_some(),
            origin: self.origin(),
            events: self.config.as_ref().map(|config| config.events.iter().map(|event| event.as_str()).collect()),
            state: row.map(|row| row.state.as_str()),
            removed_at: row.and_then(|row| row.removed_at),
            since: row.map(|row| row.since),
            consecutive_failures: row.map(|row| row.consecutive_failures),
            last_success_at: row.and_then(|row| row.last_success_at),
            hold_until: row.and_then(|row| row.hold_until),
            waiting: self.waiting,
            oldest_waiting_at: self.oldest_waiting,
            dead: self.dead,
            backfill: row.and_then(|row| {
                let (since, done_at) = (row.backfill_since?, row.backfill_done_at);
                Some(BackfillJson { since, reached: reached(row), done_at })
            }),
        }
    }
}
