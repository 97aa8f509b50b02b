//! What happens while somebody looks: events as they come into the log.

use std::time::Duration;

use lumo_bridge_entity::event;
use serde_json::Value;

use super::safe;
use crate::model::draft::rfc3339;
use crate::store::{Error, Store};

/// How often to look whether something has happened.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// How far is indented what does not fit into the line of an event: the time stands alone.
pub(super) const INDENT: usize = "18:30:02  ".len();
/// Events that are read at a time.
const AT_ONCE: u64 = 500;

/// How far the log has been read.
#[derive(Debug)]
pub(super) struct News {
    pub(super) after: i64,
}

impl News {
    /// The events that came since, in their order, as many as are read at once. None are left if there are none.
    pub(super) async fn next(&mut self, store: &Store) -> Result<Vec<event::Model>, Error> {
        let events = store.events_after(self.after, AT_ONCE).await?;
        self.after = events.last().map_or(self.after, |last| last.seq);
        Ok(events)
    }
}

/// `18:30:02  deposit.created         12.5 USDT  new  8d5f4f0e-…  42`: money first, then what it is about and whose it is.
pub(super) fn line(event: &event::Model) -> String {
    let body: Value = serde_json::from_str(&event.body).unwrap_or_default();
    let object = &body["data"]["object"];
    let text = |name: &str| object[name].as_str();
    let amount = text("amount").map(|amount| format!("{amount} {}", text("currency").unwrap_or("-")));
    let user = event.external_id.as_ref().map(|user| user.as_str());
    let known: Vec<&str> =
        [amount.as_deref(), text("status"), Some(event.object_id.as_str()), user].into_iter().flatten().collect();
    let time = rfc3339(event.detected_at);
    let time = time.get(11..19).unwrap_or(&time);
    safe::text(&format!("{time}  {:<22}  {}", event.kind, known.join("  "))).into_owned()
}
