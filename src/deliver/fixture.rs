//! Makes rows of endpoints for tests.

use chrono::DateTime;
use lumo_bridge_entity::endpoint::{self, State};

/// An endpoint that nothing was sent to since it came into this state.
pub(crate) fn row(name: &str, state: State) -> endpoint::Model {
    endpoint::Model {
        name: name.parse().unwrap(),
        state,
        since: DateTime::UNIX_EPOCH,
        consecutive_failures: 0,
        last_success_at: None,
        last_error: None,
        hold_until: None,
        removed_at: None,
        ordering: "user".to_owned(),
        fingerprint: 1,
        process: Some(1),
        lease_ms: 60_000,
        backfill_since: None,
        backfill_place: None,
        backfill_done_at: None,
    }
}
