//! One change of the world, in words that a file keeps.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Kind, Row, State, Status, World};

/// What happened to one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deed {
    /// `d7` is the seventh deposit, `w7` the seventh wallet.
    row: String,
    /// Where it joins, if it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    joins_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<u64>,
    /// Not told where it is the present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<DateTime<Utc>>,
    /// `confirmed 4` is its status and its content; `blocked`, `replaced` and `spoiled` may follow. `gone` if it left.
    #[serde(rename = "as")]
    becomes: String,
}

impl Deed {
    pub(super) fn joins(row: &Row, state: &State, now: DateTime<Utc>) -> Self {
        Self {
            joins_at: Some(row.rank),
            user: (row.user != row.number).then_some(row.user),
            created_at: (row.created_at != now).then_some(row.created_at),
            ..Self::becomes(row, Some(state))
        }
    }

    pub(super) fn becomes(row: &Row, state: Option<&State>) -> Self {
        let becomes = state.map_or_else(|| "gone".to_owned(), words);
        Self { row: row.id(), joins_at: None, user: None, created_at: None, becomes }
    }
}

impl World {
    /// Lets it happen once more, at the present moment. A row that is not there is passed over.
    pub(crate) fn happen(&mut self, deed: &Deed) {
        let (kind, number) = named(&deed.row);
        let state = state(&deed.becomes, self.now());
        match (deed.joins_at, state) {
            (Some(rank), Some(state)) => {
                let created_at = deed.created_at.unwrap_or_else(|| self.time(self.now()));
                let user = deed.user.unwrap_or(number);
                self.join(Row { kind, number, user, rank, created_at, history: Vec::new() }, state);
            }
            (_, state) => {
                let index = usize::try_from(number - 1).unwrap();
                if index < self.rows(kind).len() {
                    self.set(kind, index, state);
                }
            }
        }
    }
}

fn words(state: &State) -> String {
    let mut words = format!("{} {}", state.status.as_str(), state.content);
    for (holds, word) in [(state.blocked, " blocked"), (state.replaced, " replaced"), (state.spoiled, " spoiled")] {
        words.push_str(if holds { word } else { "" });
    }
    words
}

fn state(words: &str, now: u64) -> Option<State> {
    let words: Vec<&str> = words.split(' ').collect();
    let [status, content, rest @ ..] = words.as_slice() else { return None };
    let statuses = [Status::New, Status::Confirming, Status::Confirmed];
    let status = *statuses.iter().find(|known| known.as_str() == *status).expect("a status");
    let content = content.parse().expect("a number");
    let is = |word| rest.contains(&word);
    let (blocked, replaced, spoiled) = (is("blocked"), is("replaced"), is("spoiled"));
    Some(State { content, status, blocked, replaced, spoiled, touched: now })
}

fn named(row: &str) -> (Kind, u64) {
    let (kind, number) = row.split_at(1);
    let kind = if kind == "w" { Kind::Wallet } else { Kind::Deposit };
    (kind, number.parse().expect("a row's number"))
}
