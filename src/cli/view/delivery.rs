//! Deliveries, in full with their attempts.

use anstyle::Style;
use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt;
use lumo_bridge_entity::delivery::{Model, State};

use super::{Detailed, Listed};
use crate::cli::fields::Fields;
use crate::cli::printer::{CYAN, DIM, GREEN, RED, YELLOW};
use crate::cli::table::{Cell, Column};
use crate::cli::time::{age, ago};
use crate::view::{Attempt, Delivery};

/// A delivery and its attempts.
pub(in crate::cli) struct Tried {
    pub(in crate::cli) delivery: Model,
    pub(in crate::cli) attempts: Vec<attempt::Model>,
}

impl Listed for Model {
    const NOUN: &'static str = "deliveries";
    type Json = Delivery;

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

    fn json(&self) -> Delivery {
        Delivery::brief(self)
    }
}

impl Listed for attempt::Model {
    const NOUN: &'static str = "attempts";
    type Json = Attempt;

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

    fn json(&self) -> Attempt {
        Attempt::of(self)
    }
}

impl Listed for Tried {
    const NOUN: &'static str = Model::NOUN;
    type Json = Delivery;

    fn columns() -> Vec<Column> {
        Model::columns()
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        self.delivery.cells(now)
    }

    fn json(&self) -> Delivery {
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
            State::Sending => fields
                .time("leased until", delivery.next_attempt_at)
                .time("to be acknowledged by", delivery.ack_by.filter(|_| delivery.next_attempt_at.is_none())),
            _ => fields.time("next attempt", delivery.next_attempt_at),
        };
        fields
            .time("delivered", delivery.delivered_at)
            .maybe("last status", delivery.last_status)
            .maybe("last error", delivery.last_error.as_deref())
    }

    fn full_json(&self) -> Delivery {
        Delivery::full(&self.delivery, &self.attempts)
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
