//! Users whose deposits are looked for between the rounds.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::Reader;
use crate::model::Listing;
use crate::store::{self, Error, Store};
use crate::sync::LEASE;
use crate::sync::tail::watch::{Plan, apart};

/// A watched user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Watch {
    /// The user's id in the merchant's own system.
    pub external_id: String,
    /// Until when their deposits are looked for.
    pub until: DateTime<Utc>,
}

/// How many users are watched by rows of `lumo_watches`, and how often they are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Watching {
    pub users: usize,
    /// More rows than `sync.watch.most` name users; those that end first are left out.
    pub is_cut: bool,
    /// At most so many seconds lie between two looks at one user.
    pub apart_seconds: i64,
    /// Whether they are looked for: a process reads, the first import is done, and the key is accepted.
    pub is_looked_for: bool,
}

impl Watch {
    #[must_use]
    pub fn of(watch: &store::Watch) -> Self {
        Self { external_id: watch.external_id.to_string(), until: watch.until }
    }
}

impl Watching {
    /// None if nobody is watched.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load(store: &Store, plan: Plan, now: DateTime<Utc>) -> Result<Option<Self>, Error> {
        let watches = store.watches(now, plan.most.into()).await?;
        if watches.users.is_empty() {
            return Ok(None);
        }
        let progress = store.progress(Listing::Deposits).await?;
        let lease_until = store.holder(LEASE).await?.map(|holder| holder.expires_at);
        let is_accepted = store.account().await?.is_none_or(|account| account.wrong_since.is_none());
        let is_looked_for = Reader::of(lease_until, now).is_running
            && is_accepted
            && progress.import_done_at.is_some()
            && progress.unauthorized_since.is_none();
        let users = watches.users.len();
        let apart_seconds = apart(&progress, users as u64, plan, now).num_seconds();
        Ok(Some(Self { users, is_cut: watches.is_cut, apart_seconds, is_looked_for }))
    }

    /// For people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let users = if self.users == 1 { "1 user is".to_owned() } else { format!("{} users are", self.users) };
        let more = if self.is_cut { ", and more are left out, as `sync.watch.most` says" } else { "" };
        if !self.is_looked_for {
            return format!("{users} watched, and nobody looks for their deposits at present{more}.");
        }
        format!("{users} watched: their deposits are looked for every {} s{more}.", self.apart_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_how_many_and_how_often() {
        for (users, is_cut, expected) in [
            (1, false, "1 user is watched: their deposits are looked for every 2 s."),
            (
                500,
                true,
                "500 users are watched: their deposits are looked for every 2 s, and more are left out, as \
                 `sync.watch.most` says.",
            ),
        ] {
            let watching = Watching { users, is_cut, apart_seconds: 2, is_looked_for: true };
            assert_eq!(watching.sentence(), expected);
        }
        let watching = Watching { users: 2, is_cut: false, apart_seconds: 2, is_looked_for: false };
        assert_eq!(watching.sentence(), "2 users are watched, and nobody looks for their deposits at present.");
    }
}
