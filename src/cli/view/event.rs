//! Events, in full with the deliveries that were made of them and what operators did to those.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::event::Model;
use lumo_bridge_entity::operator_action;

use super::delivery::Sent;
use super::{Detailed, Listed};
use crate::cli::fields::Fields;
use crate::cli::table::{Cell, Column};
use crate::cli::time::age;
use crate::view::Event;

/// An event, its deliveries, and what operators did to them.
pub(in crate::cli) struct Told {
    pub(in crate::cli) event: Model,
    pub(in crate::cli) deliveries: Vec<Sent>,
    pub(in crate::cli) actions: Vec<operator_action::Model>,
}

impl Listed for Model {
    const NOUN: &'static str = "events";
    type Json = Event;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("EVENT").whole(),
            Column::new("SEQ").right(),
            Column::new("TYPE"),
            Column::new("STREAM").flexible(),
            Column::new("AGE").right().optional(),
            Column::new("OBJECT").whole().optional(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        vec![
            Cell::new(&self.id),
            Cell::new(self.seq),
            Cell::new(&self.kind),
            Cell::new(format_args!("{} #{}", self.stream, self.stream_seq)),
            Cell::new(age(self.detected_at, now)),
            Cell::new(&self.object_id),
        ]
    }

    fn json(&self) -> Event {
        Event::brief(self)
    }
}

impl Listed for Told {
    const NOUN: &'static str = Model::NOUN;
    type Json = Event;

    fn columns() -> Vec<Column> {
        Model::columns()
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        self.event.cells(now)
    }

    fn json(&self) -> Event {
        self.event.json()
    }
}

impl Detailed for Told {
    fn fields(&self, now: DateTime<Utc>) -> Fields {
        let Self { event, .. } = self;
        Fields::new(now)
            .text("id", &event.id)
            .text("seq", event.seq)
            .text("type", &event.kind)
            .text("stream", format_args!("{} #{}", event.stream, event.stream_seq))
            .text("object", format_args!("{} {}", event.object_kind, event.object_id))
            .maybe("user", event.external_id.as_ref())
            .time("occurred", event.occurred_at)
            .time("detected", event.detected_at)
            .text("origin", &event.origin)
            .json("body", &event.body)
    }

    fn full_json(&self) -> Event {
        Event::full(&self.event, self.deliveries.iter().map(Listed::json).collect(), &self.actions)
    }
}
