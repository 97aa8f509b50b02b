//! Events, in full with the deliveries that were made of them.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery;
use lumo_bridge_entity::event::Model;
use serde::Serialize;

use super::{Detailed, Embedded, Listed, delivery as delivery_view};
use crate::cli::fields::Fields;
use crate::cli::table::{Cell, Column};
use crate::cli::time::age;
use crate::model::id::{EventId, ExternalId};

/// A row of `lumo_events`.
#[derive(Serialize)]
pub(in crate::cli) struct Json<'a> {
    id: &'a EventId,
    seq: i64,
    #[serde(rename = "type")]
    kind: &'a str,
    stream: &'a str,
    stream_seq: i64,
    object_kind: &'a str,
    object_id: &'a str,
    external_id: Option<&'a ExternalId>,
    occurred_at: DateTime<Utc>,
    detected_at: DateTime<Utc>,
    origin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Embedded<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Vec<delivery_view::Json<'a>>>,
}

/// An event and its deliveries.
pub(in crate::cli) struct Told {
    pub(in crate::cli) event: Model,
    pub(in crate::cli) deliveries: Vec<delivery::Model>,
}

impl Listed for Model {
    const NOUN: &'static str = "events";
    type Json<'a> = Json<'a>;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("EVENT"),
            Column::new("SEQ").right(),
            Column::new("TYPE"),
            Column::new("STREAM").flexible(),
            Column::new("AGE").right().optional(),
            Column::new("OBJECT").flexible().optional(),
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

    fn json(&self) -> Json<'_> {
        Json {
            id: &self.id,
            seq: self.seq,
            kind: &self.kind,
            stream: &self.stream,
            stream_seq: self.stream_seq,
            object_kind: &self.object_kind,
            object_id: &self.object_id,
            external_id: self.external_id.as_ref(),
            occurred_at: self.occurred_at,
            detected_at: self.detected_at,
            origin: &self.origin,
            body: None,
            deliveries: None,
        }
    }
}

impl Listed for Told {
    const NOUN: &'static str = Model::NOUN;
    type Json<'a> = Json<'a>;

    fn columns() -> Vec<Column> {
        Model::columns()
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        self.event.cells(now)
    }

    fn json(&self) -> Json<'_> {
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

    fn full_json(&self) -> Json<'_> {
        Json {
            body: Some(Embedded::new(&self.event.body)),
            deliveries: Some(self.deliveries.iter().map(Listed::json).collect()),
            ..self.json()
        }
    }
}
