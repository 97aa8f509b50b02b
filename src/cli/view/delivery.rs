//! Deliveries, in full with their attempts.

use anstyle::Style;
use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt;
use lumo_bridge_entity::delivery::{Model, State};
use serde::Serialize;

use super::{Detailed, Listed};
use crate::cli::fields::Fields;
use crate::cli::printer::{CYAN, DIM, GREEN, RED, YELLOW};
use crate::cli::table::{Cell, Column};
use crate::cli::time::{age, ago};
use crate::model::id::{DeliveryId, EndpointName, EventId};

/// A row of `lumo_deliveries`.
#[derive(Serialize)]
pub(in crate::cli) struct Json<'a> {
    id: &'a DeliveryId,
    event_id: &'a EventId,
    endpoint: &'a EndpointName,
    state: &'a str,
    attempts: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    last_status: Option<i32>,
    last_error: Option<&'a str>,
    reason: &'a str,
    created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<AttemptJson<'a>>>,
}

/// A row of `lumo_delivery_attempts`.
#[derive(Serialize)]
pub(in crate::cli) struct AttemptJson<'a> {
    attempt: i32,
    started_at: DateTime<Utc>,
    duration_ms: i64,
    status: Option<i32>,
    error: Option<&'a str>,
    response_body: Option<&'a str>,
}

/// A delivery and its attempts.
pub(in crate::cli) struct Tried {
    pub(in crate::cli) delivery: Model,
    pub(in crate::cli) attempts: Vec<attempt::Model>,
}

impl Listed for Model {
    const NOUN: &'static str = "deliveries";
    type Json<'a> = Json<'a>;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("DELIVERY"),
            Column::new("EVENT").flexible(),
            Column::new("ENDPOINT").flexible(),
            Column::new("STATE"),
            Column::new("TRIES").right(),
            Column::new("LAST ANSWER").flexible(),
            Column::new("NEXT").optional(),
            Column::new("AGE").right().optional(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        vec![
            Cell::new(&self.id),
            Cell::new(&self.event_id),
            Cell::new(&self.endpoint),
            state(self.state),
            Cell::new(self.attempts),
            answer(self.last_status, self.last_error.as_deref()),
            Cell::maybe(next(self, now)),
            Cell::new(age(self.created_at, now)),
        ]
    }

    fn json(&self) -> Json<'_> {
        Json {
            id: &self.id,
            event_id: &self.event_id,
            endpoint: &self.endpoint,
            state: self.state.as_str(),
            attempts: self.attempts,
            next_attempt_at: self.next_attempt_at,
            delivered_at: self.delivered_at,
            last_status: self.last_status,
            last_error: self.last_error.as_deref(),
            reason: self.reason.as_str(),
            created_at: self.created_at,
            history: None,
        }
    }
}

impl Listed for attempt::Model {
    const NOUN: &'static str = "attempts";
    type Json<'a> = AttemptJson<'a>;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("TRY").right(),
            Column::new("STARTED"),
            Column::new("TOOK").right(),
            Column::new("ANSWER").flexible(),
            Column::new("BODY").flexible().optional(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        vec![
            Cell::new(self.attempt),
            Cell::new(ago(self.started_at, now)),
            Cell::new(format_args!("{} ms", self.duration_ms)),
            answer(self.status, self.error.as_deref()),
            Cell::maybe(self.response_body.as_deref()),
        ]
    }

    fn json(&self) -> AttemptJson<'_> {
        AttemptJson {
            attempt: self.attempt,
            started_at: self.started_at,
            duration_ms: self.duration_ms,
            status: self.status,
            error: self.error.as_deref(),
            response_body: self.response_body.as_deref(),
        }
    }
}

impl Listed for Tried {
    const NOUN: &'static str = Model::NOUN;
    type Json<'a> = Json<'a>;

    fn columns() -> Vec<Column> {
        Model::columns()
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        self.delivery.cells(now)
    }

    fn json(&self) -> Json<'_> {
        self.delivery.json()
    }
}

impl Detailed for Tried {
    fn fields(&self, now: DateTime<Utc>) -> Fields {
        let Self { delivery, .. } = self;
        let fields = Fields::new(now)
            .text("id", &delivery.id)
            .text("event", &delivery.event_id)
            .text("endpoint", &delivery.endpoint)
            .cell("state", state(delivery.state))
            .text("reason", delivery.reason.as_str())
            .time("queued", delivery.created_at)
            .text("attempts", delivery.attempts);
        let fields = match delivery.state {
            State::Sending => fields.time("leased until", delivery.next_attempt_at),
            _ => fields.time("next attempt", delivery.next_attempt_at),
        };
        fields
            .time("delivered", delivery.delivered_at)
            .maybe("last status", delivery.last_status)
            .maybe("last error", delivery.last_error.as_deref())
    }

    fn full_json(&self) -> Json<'_> {
        Json { history: Some(self.attempts.iter().map(Listed::json).collect()), ..self.json() }
    }
}

fn state(state: State) -> Cell {
    let style = match state {
        State::Delivered => GREEN,
        State::Sending => CYAN,
        State::Pending => Style::new(),
        State::Retrying | State::Held => YELLOW,
        State::Dead => RED,
        State::Skipped => DIM,
    };
    Cell::new(state.as_str()).styled(style)
}

/// When it is tried next, if that has a time; while it is being tried, the time is only the end of a lease.
fn next(delivery: &Model, now: DateTime<Utc>) -> Option<String> {
    let at = delivery.next_attempt_at.filter(|_| delivery.state != State::Sending)?;
    Some(if at <= now { "due".to_owned() } else { ago(at, now) })
}

fn answer(status: Option<i32>, error: Option<&str>) -> Cell {
    match (status, error) {
        (_, Some(error)) => Cell::new(error).styled(YELLOW),
        (status, None) => Cell::maybe(status),
    }
}
