//! Re-reads rows that have probably changed: young deposits, deposits in status `new`, and rows to be confirmed.
//!
//! Lumo does not report that a row deep in the list has changed; a sweep notices it when it gets there. More important
//! rows are read sooner: deposits of the last hour in every round, of the last day every 10 minutes, of the last week
//! every hour; those in status `new` ([`crate::sync::tail::new_deposits`]); and all rows of a user of whom one was seen
//! to change, to disappear, or to step back ([`crate::sync::confirm::ask`]).

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::lumo::Priority;
use crate::model::Listing;
use crate::sync::Error;
use crate::sync::learn::memory::is_past;
use crate::sync::learn::order::Order;
use crate::sync::round::Round;
use crate::sync::scan::reader::{Reader, Scope};
use crate::sync::scan::walk::Read;
use crate::sync::tail::ends::Edge;
use crate::sync::upstream::{Source, Upstream};

/// The greatest age of a row, how often rows up to that age are read, and the most pages for that.
const TIERS: [(TimeDelta, TimeDelta, u64); 3] = [
    (TimeDelta::hours(1), TimeDelta::zero(), 8),
    (TimeDelta::days(1), TimeDelta::minutes(10), 32),
    (TimeDelta::days(7), TimeDelta::hours(1), 128),
];

impl<U: Upstream> Round<'_, U> {
    pub(in crate::sync) async fn recent_rows<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        if self.listing == Listing::Deposits && !self.extent.is_whole {
            self.young::<R>(stop).await?;
            self.new_deposits_in_turn::<R>(stop).await?;
        }
        self.ask_again::<R>(stop).await
    }

    /// Reads on from the end where new rows join, up to the greatest age that is due.
    async fn young<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let Some(mut edge) = self.extent.edge else { return Ok(()) };
        let now = self.now();
        let order = self.memory.order.order();
        let read_at = [None, self.memory.day_read_at, self.memory.week_read_at];
        let mut due = TIERS.into_iter().zip(read_at).filter(|((_, every, _), at)| is_past(*at, *every, now));
        let Some(((age, every, most), _)) = due.next_back() else { return Ok(()) };
        let mut reader: Reader<U, R> = self.reader(Scope::all(self.listing, Priority::Recent), false);
        let limit = self.page_limit();
        for _ in 0..most {
            if now - edge.created_at > age {
                break;
            }
            let offset = match order {
                Order::Newest => edge.offset,
                Order::Oldest if edge.offset > 0 => edge.offset.saturating_sub(u64::from(limit)),
                _ => break,
            };
            // What was not read to its end stays due.
            let Some(page) = self.take(&mut reader, Read { offset, limit }, &[], stop).await? else { return Ok(()) };
            let returned = u64::try_from(page.page.returned).unwrap_or(u64::MAX);
            let dates = page.page.items.iter().filter_map(R::created_at);
            let (oldest, next) = match order {
                Order::Newest => (dates.last(), offset.saturating_add(returned)),
                _ => (dates.into_iter().next(), offset),
            };
            self.keep(page).await?;
            let Some(created_at) = oldest else { break };
            edge = Edge { offset: next, created_at };
        }
        self.extent.edge = Some(edge);
        if every >= TimeDelta::minutes(10) {
            self.memory.day_read_at = Some(now);
        }
        if every >= TimeDelta::hours(1) {
            self.memory.week_read_at = Some(now);
        }
        Ok(())
    }
}
