//! Endpoints: how each fares, and what waits for it.

use chrono::{DateTime, Utc};

use super::Listed;
use crate::cli::style::{DIM, GREEN, RED, YELLOW};
use crate::cli::table::{Cell, Column};
use crate::cli::time::{age, past};
use crate::view::Endpoint;

impl Listed for Endpoint {
    const NOUN: &'static str = "endpoints";
    type Json = Self;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("ENDPOINT").whole(),
            Column::new("STATE"),
            Column::new("WAITING").right(),
            Column::new("OLDEST").right(),
            Column::new("DEAD").right(),
            Column::new("FAILURES").right(),
            Column::new("LAST SUCCESS").optional(),
            Column::new("WHERE").below(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let dead = Cell::new(self.dead);
        vec![
            Cell::new(&self.name),
            state(self, now),
            Cell::new(self.waiting),
            Cell::maybe(self.oldest_waiting_at.map(|oldest| age(oldest, now))),
            if self.dead > 0 { dead.styled(RED) } else { dead },
            Cell::new(self.consecutive_failures.unwrap_or_default()),
            Cell::maybe(self.last_success_at.map(|at| past(at, now))),
            Cell::maybe(self.origin.as_deref()),
        ]
    }

    fn json(&self) -> Self {
        self.clone()
    }
}

pub(super) fn state(endpoint: &Endpoint, now: DateTime<Utc>) -> Cell {
    if !endpoint.is_configured {
        return Cell::new("removed").styled(YELLOW);
    }
    match endpoint.state {
        None => Cell::new("new").styled(DIM),
        Some("active") => match endpoint.hold_until.filter(|until| *until > now) {
            Some(until) => {
                Cell::new(format_args!("held until {} (Retry-After)", until.format("%H:%M:%S"))).styled(YELLOW)
            }
            None => Cell::new("active").styled(GREEN),
        },
        Some("paused") => Cell::new("paused").styled(YELLOW),
        Some(trouble) => Cell::new(trouble).styled(RED),
    }
}
