//! Lists of what is mirrored, which may be long: for people, for scripts, and as CSV for accountants.

use super::context::Context;
use super::failure::Failure;
use super::filter::Limit;
use super::view::{self, Listed};
use crate::store::Error;
use crate::view::csv;

/// Rows that CSV is made of at a time. Each is read with its item as listed, which may have some kilobytes.
const PAGE: u64 = 500;

/// How much is printed, and how.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Form {
    #[command(flatten)]
    limit: Limit,
    /// Print CSV: a header line, then all that match, unless `--limit` is given
    #[arg(long)]
    csv: bool,
}

impl Form {
    /// Refuses two forms at once, before anything is read.
    pub(super) fn check(self, context: &Context) -> Result<(), Failure> {
        if self.csv && context.printer().json() {
            return Err(Failure::usage("`--csv` and `--json` are two forms of one list: give one of them"));
        }
        Ok(())
    }

    /// Prints what `load` gives of the list, which gets the place to go on after and how many rows to give at most.
    pub(super) async fn print<T, P>(
        self,
        context: &Context,
        mut after: Option<P>,
        place: impl Fn(&T) -> P,
        load: impl AsyncFn(Option<P>, u64) -> Result<Vec<T>, Error>,
    ) -> Result<(), Failure>
    where
        T: Listed<Json: csv::Row>,
    {
        if !self.csv {
            let mut rows = load(after, self.limit.probe()).await?;
            let has_more = self.limit.cut(&mut rows);
            view::list(context, &rows)?;
            if has_more {
                context
                    .printer()
                    .say("there are more; `--limit` shows more at once, `--after` with the last id goes on");
            }
            return Ok(());
        }
        // Page by page, so that a long list is never in memory.
        let printer = context.printer();
        printer.csv(&csv::header::<T::Json>());
        let mut left = self.limit.asked().unwrap_or(u64::MAX);
        while left > 0 {
            let rows = load(after, left.min(PAGE)).await?;
            let Some(last) = rows.last() else { break };
            printer.csv(&rows.iter().map(|row| csv::row(&row.json())).collect::<String>());
            left = left.saturating_sub(u64::try_from(rows.len()).unwrap_or(u64::MAX));
            after = Some(place(last));
        }
        Ok(())
    }
}
