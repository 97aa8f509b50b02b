//! Deliveries, in full with their attempts.

use anstyle::Style;
use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt;

use super::{Detailed, Listed};
use crate::cli::fields::Fields;
use crate::cli::style::{CYAN, DIM, GREEN, RED, YELLOW};
use crate::cli::table::{Cell, Column};
use crate::cli::text::one_line;
use crate::cli::time::{age, past};
use crate::model::delivery::State;
use crate::store::query::DeliveryRow;
use crate::view::{Attempt, Delivery, delivery};

/// A delivery, as it stands at a time.
pub(in crate::cli) struct Sent {
    pub(in crate::cli) row: DeliveryRow,
    pub(in crate::cli) now: DateTime<Utc>,
}

/// A delivery and its attempts.
pub(in crate::cli) struct Tried {
    pub(in crate::cli) delivery: Sent,
    pub(in crate::cli) attempts: Vec<attempt::Model>,
}

impl Sent {
    /// All of these at one time.
    pub(in crate::cli) fn all(rows: Vec<DeliveryRow>, now: DateTime<Utc>) -> Vec<Self> {
        rows.into_iter().map(|row| Self { row, now }).collect()
    }
}

impl Listed for Sent {
    const NOUN: &'static str = "deliveries";
    type Json = Delivery;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("DELIVERY").whole(),
            Column::new("TYPE").flexible(),
            Column::new("STATE"),
            Column::new("TRIES").right(),
            Column::new("AGE").right().optional(),
            Column::new("WHY").below(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let Self { row, .. } = self;
        vec![
            Cell::new(&row.id),
            Cell::new(&row.kind),
            state(row.state),
            Cell::new(row.attempts),
            Cell::new(age(row.since, now)),
            Cell::new(delivery::why(row, now)),
        ]
    }

    fn json(&self) -> Delivery {
        Delivery::brief(&self.row, self.now)
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
            Column::new("RESULT"),
            Column::new("ANSWER").below(),
            Column::new("BODY").below(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        vec![
            Cell::new(self.attempt),
            Cell::new(past(self.started_at, now)),
            Cell::new(format_args!("{} ms", self.duration_ms)),
            Cell::new(self.result.as_str()),
            answer(self.status, self.error.as_deref()),
            Cell::maybe(self.response_body.as_deref().map(one_line)),
        ]
    }

    fn json(&self) -> Attempt {
        Attempt::of(self)
    }
}

impl Listed for Tried {
    const NOUN: &'static str = Sent::NOUN;
    type Json = Delivery;

    fn columns() -> Vec<Column> {
        Sent::columns()
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
        let row = &self.delivery.row;
        let next = row.next_attempt_at.filter(|_| !matches!(row.state, State::Sending | State::Held));
        Fields::new(now)
            .text("id", &row.id)
            .text("event", &row.id.event)
            .text("type", &row.kind)
            .text("endpoint", &row.id.endpoint)
            .cell("state", state(row.state))
            .text("why", delivery::why(row, now))
            .text("reason", row.reason.as_str())
            .time("since", row.since)
            .text("attempts", row.attempts)
            .due("next attempt", next)
            .due("lets others pass", row.hold_until.filter(|_| !row.state.is_final()))
            .time("delivered", row.delivered_at)
            .maybe("last status", row.last_status)
            .maybe("last error", row.last_error.as_deref())
    }

    fn full_json(&self) -> Delivery {
        Delivery::full(&self.delivery.row, &self.attempts, self.delivery.now)
    }
}

fn state(state: State) -> Cell {
    let style = match state {
        State::Delivered => GREEN,
        State::Sending | State::AwaitingAck => CYAN,
        State::Pending => Style::new(),
        State::Retrying | State::Held => YELLOW,
        State::Dead => RED,
        State::Skipped | State::Filtered | State::Superseded => DIM,
    };
    Cell::new(state.as_str()).styled(style)
}

fn answer(status: Option<i32>, error: Option<&str>) -> Cell {
    match (status, error) {
        (_, Some(error)) => Cell::new(error).styled(YELLOW),
        (status, None) => Cell::maybe(status),
    }
}
