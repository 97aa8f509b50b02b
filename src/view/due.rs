//! What was made due, and when it goes out.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::endpoint::{Model, State};
use schemars::JsonSchema;
use serde::Serialize;

use super::delivery::hold;
use crate::deliver::retry::MadeDue;
use crate::store::{Error, Store};

/// When deliveries go out whose endpoint is called.
const GOING_OUT: &str = "they go out while the daemon runs";

/// What came of a retry by filter.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RetriedAll {
    pub due: u64,
    pub is_dry_run: bool,
    /// False if it was interrupted before the last one.
    pub is_complete: bool,
    /// Left out, as their endpoint is a statement whose `events` do not name their types.
    pub unwanted: u64,
    /// The endpoints that are not called at present, for which some of them wait; left out if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// How many were left out at each statement.
    #[serde(skip)]
    left_out: Vec<(String, u64)>,
}

/// Deliveries that are due and wait for their endpoint.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Held {
    pub endpoint: String,
    /// How many of them.
    pub due: u64,
    /// What they wait for.
    pub message: String,
}

impl RetriedAll {
    /// # Errors
    /// If the database fails.
    pub async fn load(store: &Store, made: MadeDue, is_dry_run: bool, now: DateTime<Utc>) -> Result<Self, Error> {
        let rows = if is_dry_run || made.at.is_empty() { Vec::new() } else { store.endpoints().await? };
        Ok(Self::of(&made, &rows, is_dry_run, now))
    }

    fn of(made: &MadeDue, rows: &[Model], is_dry_run: bool, now: DateTime<Utc>) -> Self {
        let held = |row: &Model| {
            let (due, message) = (*made.at.get(&row.name)?, wait(row, now)?);
            Some(Held { endpoint: row.name.to_string(), due, message })
        };
        let (due, held) = (made.at.values().sum(), rows.iter().filter_map(held).collect());
        let left_out = made.unwanted.iter().map(|(name, count)| (name.to_string(), *count)).collect();
        let unwanted = made.unwanted.values().sum();
        Self { due, is_dry_run, is_complete: made.is_complete, unwanted, held, left_out }
    }

    /// The same in words.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let left_out = |(endpoint, count): &(String, u64)| {
            format!("left out, as `events` of the statement {endpoint} do not name their types: {count}")
        };
        self.due_lines().into_iter().chain(self.left_out.iter().map(left_out)).collect()
    }

    fn due_lines(&self) -> Vec<String> {
        let due = self.due;
        match self.held.as_slice() {
            _ if due == 0 && self.unwanted > 0 => vec!["nothing is made due".to_owned()],
            _ if due == 0 => vec!["no delivery matches; `lumo-bridge delivery list` shows what there is".to_owned()],
            _ if self.is_dry_run => vec![format!("deliveries that would be due: {due}")],
            [] => vec![format!("deliveries that are due: {due}; {GOING_OUT}")],
            [held] if held.due == due => vec![format!("deliveries that are due: {due}; {}", held.message)],
            all => {
                let mut lines = vec![format!("deliveries that are due: {due}")];
                lines.extend(all.iter().map(|held| format!("for {}: {}; {}", held.endpoint, held.due, held.message)));
                let others = due.saturating_sub(all.iter().map(|held| held.due).sum());
                if others > 0 {
                    lines.push(format!("for the others: {others}; {GOING_OUT}"));
                }
                lines
            }
        }
    }
}

/// When what is due at an endpoint goes out; `row` is what the tables know of it.
#[must_use]
pub fn going_out(row: Option<&Model>, now: DateTime<Utc>) -> String {
    row.and_then(|row| wait(row, now)).unwrap_or_else(|| GOING_OUT.to_owned())
}

/// What the deliveries of an endpoint wait for that is not called at present; none if it is called.
fn wait(row: &Model, now: DateTime<Utc>) -> Option<String> {
    let name = &row.name;
    if row.removed_at.is_some() {
        return Some(format!("{name} was taken out of the configuration: they wait until a daemon has it again"));
    }
    match row.state {
        State::Paused | State::Suspended => {
            let state = row.state.as_str();
            Some(format!("{name} is {state}: they wait until `lumo-bridge endpoint resume {name}`"))
        }
        State::Failing => Some(format!("{name} is failing: they wait until it takes callbacks again")),
        State::Active => {
            let hold = hold(row.state, row.hold_until, now)?;
            Some(format!("{name} is {hold}: they wait until then"))
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-05-04T10:00:00Z".parse().unwrap()
    }

    fn row(name: &str, state: State) -> Model {
        Model {
            name: name.parse().unwrap(),
            state,
            since: now(),
            consecutive_failures: 0,
            last_success_at: None,
            last_error: None,
            hold_until: None,
            removed_at: None,
            ordering: "user".to_owned(),
            fingerprint: 0,
            process: None,
            lease_ms: 0,
            backfill_since: None,
            backfill_place: None,
            backfill_done_at: None,
        }
    }

    #[test]
    fn what_is_due_at_an_endpoint_that_is_not_called_waits() {
        let said = |row: &Model| going_out(Some(row), now());
        assert_eq!(going_out(None, now()), GOING_OUT);
        assert_eq!(said(&row("shop", State::Active)), GOING_OUT);
        for (state, words) in [(State::Paused, "paused"), (State::Suspended, "suspended")] {
            let expected = format!("shop is {words}: they wait until `lumo-bridge endpoint resume shop`");
            assert_eq!(said(&row("shop", state)), expected);
        }
        assert_eq!(said(&row("shop", State::Failing)), "shop is failing: they wait until it takes callbacks again");
        let held =
            |seconds| Model { hold_until: Some(now() + TimeDelta::seconds(seconds)), ..row("shop", State::Active) };
        assert_eq!(said(&held(60)), "shop is held until 2026-05-04T10:01:00Z (Retry-After): they wait until then");
        assert_eq!(said(&held(-1)), GOING_OUT);
        let removed = Model { removed_at: Some(now()), ..row("shop", State::Paused) };
        assert_eq!(said(&removed), "shop was taken out of the configuration: they wait until a daemon has it again");
    }

    #[test]
    fn a_retry_says_for_which_endpoints_it_waits() {
        let rows = [row("crm", State::Active), row("mail", State::Suspended), row("shop", State::Paused)];
        let lines = |at: &[(&str, u64)], is_dry_run| {
            let at = at.iter().map(|(name, due)| (name.parse().unwrap(), *due)).collect();
            let made = MadeDue { at, is_complete: true, ..MadeDue::default() };
            RetriedAll::of(&made, &rows, is_dry_run, now()).lines()
        };
        let [mail, shop] = ["mail is suspended", "shop is paused"].map(|state| {
            let name = state.split(' ').next().unwrap();
            format!("{state}: they wait until `lumo-bridge endpoint resume {name}`")
        });
        assert_eq!(lines(&[], false), ["no delivery matches; `lumo-bridge delivery list` shows what there is"]);
        assert_eq!(lines(&[("shop", 2)], true), ["deliveries that would be due: 2"]);
        assert_eq!(lines(&[("crm", 3)], false), [format!("deliveries that are due: 3; {GOING_OUT}")]);
        assert_eq!(lines(&[("shop", 2)], false), [format!("deliveries that are due: 2; {shop}")]);
        assert_eq!(
            lines(&[("crm", 3), ("mail", 1), ("shop", 2)], false),
            [
                "deliveries that are due: 6".to_owned(),
                format!("for mail: 1; {mail}"),
                format!("for shop: 2; {shop}"),
                format!("for the others: 3; {GOING_OUT}"),
            ]
        );
    }

    #[test]
    fn what_a_statement_does_not_want_is_left_out_and_said() {
        let retried = |due: &[(&str, u64)]| {
            let named = |all: &[(&str, u64)]| all.iter().map(|(name, count)| (name.parse().unwrap(), *count)).collect();
            let made = MadeDue { at: named(due), unwanted: named(&[("ledger", 38)]), is_complete: true };
            RetriedAll::of(&made, &[], true, now())
        };
        let left_out = "left out, as `events` of the statement ledger do not name their types: 38";
        assert_eq!(retried(&[]).lines(), ["nothing is made due", left_out]);
        assert_eq!(retried(&[("shop", 2)]).lines(), ["deliveries that would be due: 2", left_out]);
        let document = serde_json::to_value(retried(&[])).unwrap();
        let expected = serde_json::json!({ "due": 0, "is_dry_run": true, "is_complete": true, "unwanted": 38 });
        assert_eq!(document, expected);
    }
}
