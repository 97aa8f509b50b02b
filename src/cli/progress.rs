//! A progress bar for a pass: rows, rows per second, time left.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::printer::Printer;
use crate::model::Listing;
use crate::sync::Tally;

const TEMPLATE: &str = "{prefix:>10} {bar:32.cyan/dim} {human_pos}/{human_len} rows  {rate:>10}  {eta} left";

/// A bar on standard error; invisible where nobody watches.
pub(super) fn bar(printer: &Printer, listing: Listing) -> ProgressBar {
    if !printer.shows_progress() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::new(0).with_prefix(listing.as_str());
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style.with_key("rate", write_rate).progress_chars("━╸─"));
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Rows per second, whole ones: the bar's own number has four decimal places.
fn write_rate(state: &ProgressState, out: &mut dyn Write) {
    write!(out, "{:.0}/s", state.per_sec()).ok();
}

/// Moves the bar to where the pass is.
pub(super) fn show(bar: &ProgressBar, tally: &Tally) {
    if let Some(total) = tally.total {
        bar.set_length(total.max(tally.rows));
    }
    bar.set_position(tally.rows);
}
