//! The filters that lists share.

use chrono::{DateTime, Utc};

use super::context::Context;
use super::failure::Failure;
use crate::model::id::ExternalId;
use crate::setting::Since;

/// How much of a list, and from when.
#[derive(Debug, clap::Args)]
pub(super) struct Window {
    /// Only from then on: a time such as 2026-01-01T00:00:00Z, a date, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    #[command(flatten)]
    limit: Limit,
}

/// From when, and until when.
#[derive(Debug, clap::Args)]
pub(super) struct Period {
    /// Only from then on: a time such as 2026-01-01T00:00:00Z, a date, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only from before then, written alike; a date is its first moment in UTC
    #[arg(long, value_name = "TIME")]
    until: Option<Since>,
}

/// How much of a list.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Limit {
    /// At most so many, the newest first [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: Option<u64>,
}

/// How many are shown where nothing is said about it.
const USUAL_LIMIT: u64 = 50;

/// Whose.
#[derive(Debug, clap::Args)]
pub(super) struct User {
    /// Only of the user with this id in your own system
    #[arg(long, value_name = "ID")]
    pub(super) external_id: Option<ExternalId>,
}

impl Window {
    pub(super) fn since(&self, context: &Context) -> Option<DateTime<Utc>> {
        self.since.map(|since| since.before(context.clock().now()))
    }

    pub(super) const fn limit(&self) -> Limit {
        self.limit
    }
}

impl Period {
    /// The two moments.
    ///
    /// # Errors
    /// If there is no time between them.
    pub(super) fn bounds(&self, now: DateTime<Utc>) -> Result<[Option<DateTime<Utc>>; 2], Failure> {
        let (since, until) = (self.since.map(|since| since.before(now)), self.until.map(|until| until.before(now)));
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(Failure::usage("nothing is left over: `--since` is not before `--until`"));
        }
        Ok([since, until])
    }
}

impl Limit {
    /// How many to load: one more than is shown, to know whether there are more.
    pub(super) fn probe(self) -> u64 {
        self.shown() + 1
    }

    /// How many were asked for; none if nothing was said about it.
    pub(super) const fn asked(self) -> Option<u64> {
        self.limit
    }

    fn shown(self) -> u64 {
        self.limit.unwrap_or(USUAL_LIMIT)
    }

    /// Takes the list back to the limit. Returns whether there was more.
    pub(super) fn cut<T>(self, items: &mut Vec<T>) -> bool {
        let limit = usize::try_from(self.shown()).unwrap_or(usize::MAX);
        let has_more = items.len() > limit;
        items.truncate(limit);
        has_more
    }
}
