//! Makes traces of the spans that stand for a piece of work: gives each its place, and hands it on when it has ended.
//!
//! Nothing here waits. What finds no room in the queue to the exporter is lost, and counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use rand::RngExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::clock::Clock;
use crate::trace::Place;

/// The spans that are exported: each has an end, and no field that is a secret or says who a user is.
const EXPORTED: [&str; 4] = ["sync.pass", "sync.page", "lumo.request", "deliver.attempt"];

/// A span that has ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) began_at: DateTime<Utc>,
    pub(super) ended_at: DateTime<Utc>,
    pub(super) fields: Vec<(&'static str, Value)>,
}

/// A span that has not.
struct Begun {
    at: DateTime<Utc>,
    fields: Fields,
}

/// Hands over the spans of this process.
pub struct Tracer {
    clock: Clock,
    finished: mpsc::Sender<Finished>,
    lost: Arc<AtomicU64>,
}

impl Tracer {
    pub(super) fn new(finished: mpsc::Sender<Finished>, lost: Arc<AtomicU64>) -> Self {
        Self { clock: Clock::system(), finished, lost }
    }

    pub(super) fn wants(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("lumo_bridge") && EXPORTED.contains(&metadata.name())
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Tracer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let above = span.parent().and_then(|parent| parent.extensions().get::<Place>().copied());
        let mut rng = rand::rng();
        let place = Place {
            // Zero stands for none in both.
            trace: above.map_or_else(|| rng.random_range(1..=u128::MAX), |above| above.trace),
            span: rng.random_range(1..=u64::MAX),
            parent: above.map(|above| above.span),
        };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut extensions = span.extensions_mut();
        extensions.insert(place);
        extensions.insert(Begun { at: self.clock.now(), fields });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(begun) = span.extensions_mut().get_mut::<Begun>()
        {
            values.record(&mut begun.fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        let (Some(place), Some(begun)) = (extensions.get_mut::<Place>().copied(), extensions.remove::<Begun>()) else {
            return;
        };
        let Begun { at: began_at, fields: Fields(fields) } = begun;
        let finished = Finished { name: span.name(), place, began_at, ended_at: self.clock.now(), fields };
        if self.finished.try_send(finished).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.into()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}").into()));
    }
}
