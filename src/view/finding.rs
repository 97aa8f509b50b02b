//! What is wrong: findings, each made from the state that it speaks of, for `status` and `/readyz`.
//!
//! Every function here is pure. A new kind of trouble is one more function that gives findings.

mod overall;
mod reader;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::endpoint::is_long_wait;
use super::{Account, Endpoint, Standing};
use crate::account::Refusal;
use crate::callback::says_unauthorized;
use crate::deliver::trial::COMPARE_SECRET;
use crate::model::{Listing, PerListing};
use crate::store::{Progress, WriteTrouble};
use crate::sync;
use crate::sync::learn::gap::counts_more;
use crate::sync::learn::shrinkage::{Shrunk, shrunk};
use crate::sync::scan::walk::Doubt;

pub use overall::summary;
pub use reader::{of_reader, speaks_of_reader};

/// How bad it is; the worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Severity {
    /// Nothing is read.
    Stopped,
    /// The copy is not up to date, or callbacks do not arrive.
    Broken,
    /// Somebody wanted it so, or it passes by itself.
    Notice,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    pub severity: Severity,
    /// For programs, for example `key_refused`.
    pub code: &'static str,
    /// Which listing or endpoint it is about; null if it is about everything.
    pub about: Option<String>,
    /// For people: what is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether `/readyz` answers 503 because of it.
    pub blocks_ready: bool,
}

impl Finding {
    /// A trouble that does not concern readiness.
    #[must_use]
    pub fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Self { severity, code, about: None, message, hint: None, blocks_ready: false }
    }

    #[must_use]
    pub fn about(self, subject: &str) -> Self {
        Self { about: Some(subject.to_owned()), ..self }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A trouble because of which `/readyz` answers 503.
    #[must_use]
    pub fn blocking(self) -> Self {
        Self { blocks_ready: true, ..self }
    }
}

/// A time to the second, as sentences have it.
fn at(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A sentence that begins as one, of words that go on where others stopped.
fn capitalized(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A number of callbacks, with its verb.
fn wait(callbacks: i64) -> String {
    if callbacks == 1 { "1 callback waits".to_owned() } else { format!("{callbacks} callbacks wait") }
}

/// What is wrong with the listings, by the tables alone: this holds in a process that does not read them, too.
/// `overdue_after` is how long each may go without the end of a round.
#[must_use]
pub fn of_listings(all: &[Progress], overdue_after: PerListing<TimeDelta>, now: DateTime<Utc>) -> Vec<Finding> {
    let key = Key::of(all);
    let mut findings: Vec<Finding> = key.finding().into_iter().collect();
    for progress in all {
        let overdue_after = progress.listing.parse().map_or(TimeDelta::MAX, |listing: Listing| overdue_after[listing]);
        findings.extend(of_listing(progress, &key, overdue_after, now));
        findings.extend(of_removals(progress));
    }
    findings
}

/// Whether the key and the server are those that the tables are filled from.
#[must_use]
pub fn of_account(account: &Account) -> Option<Finding> {
    let Account { company_id, server, wrong: Some(wrong), .. } = account else { return None };
    let refusal = Refusal::between((company_id, server), (&wrong.company_id, &wrong.server));
    let message = format!("{}: nothing is read since {}", capitalized(&refusal.to_string()), at(wrong.since));
    Some(Finding::new(Severity::Stopped, "wrong_account", message).hint(refusal.hint()).blocking())
}

/// Said in the place of a refusal that a round over another list has outdated.
const ACCEPTED_SINCE: &str = "Lumo refused the API key then, and accepts it now; the next round reads the list";

/// What the rounds have shown of the API key. It is one for all listings, so the latest of them counts.
enum Key<'a> {
    Accepted,
    Refused {
        since: DateTime<Utc>,
    },
    /// It was refused, and the last round failed before Lumo said anything about the key.
    Unknown {
        since: DateTime<Utc>,
        error: &'a str,
    },
}

impl<'a> Key<'a> {
    fn of(all: &'a [Progress]) -> Self {
        let (refused, accepted): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.unauthorized_since.is_some());
        let since = refused.iter().filter_map(|one| one.unauthorized_since).min();
        let last = refused.iter().copied().max_by_key(|one| one.last_run_at);
        let (Some(since), Some(last)) = (since, last) else { return Self::Accepted };
        // A complete round that began after the last one that was refused.
        if accepted.iter().any(|one| one.complete_through > last.last_run_at) {
            return Self::Accepted;
        }
        match last.last_error.as_deref() {
            Some(error) if !sync::Error::says_unauthorized(error) => Self::Unknown { since, error },
            _ => Self::Refused { since },
        }
    }

    fn finding(&self) -> Option<Finding> {
        let (message, hint) = match self {
            Self::Accepted => return None,
            Self::Refused { since } => (
                format!("Lumo refuses the API key since {}; nothing is read", at(*since)),
                "put the current key in `lumo.api_key`, then reload or restart the daemon; a company login or a \
                 regenerated key makes the old key void",
            ),
            Self::Unknown { since, error } => (
                format!(
                    "The last round failed: {error}; Lumo refused the API key at {}, and whether it accepts the \
                     present one is not known",
                    at(*since)
                ),
                "it is read again on schedule; `lumo-bridge check` asks Lumo whether it accepts the key",
            ),
        };
        Some(Finding::new(Severity::Stopped, "key_refused", message).hint(hint).blocking())
    }
}

fn of_listing(progress: &Progress, key: &Key<'_>, overdue_after: TimeDelta, now: DateTime<Utc>) -> Option<Finding> {
    let listing = &progress.listing;
    // What keeps all listings from being read is said once.
    let is_said = progress.unauthorized_since.is_some() && !matches!(key, Key::Accepted);
    let error = progress.last_error.as_deref().filter(|_| !is_said).map(|error| match key {
        Key::Accepted if sync::Error::says_unauthorized(error) => ACCEPTED_SINCE,
        _ => error,
    });
    let because = error.map(|error| format!(": {error}")).unwrap_or_default();
    let broken = |code, message| Finding::new(Severity::Broken, code, message).about(listing).blocking();
    if let Some(since) = progress.stalled_since {
        let message = format!("{listing}: not complete since {}{because}", at(since));
        let hint = untold(error).unwrap_or("it is read again on schedule; `lumo-bridge check` examines the API");
        return Some(broken("stalled", message).hint(hint));
    }
    if progress.import_done_at.is_none() {
        let of_rows = progress.last_total.map(|total| format!(" of {total} rows")).unwrap_or_default();
        let message = match (progress.import_started_at, error) {
            (_, Some(error)) => format!("{listing}: the first import is not done: {error}"),
            (Some(since), None) => format!("{listing}: the first import{of_rows} is running since {}", at(since)),
            (None, None) => format!("{listing}: the first import has not begun"),
        };
        let severity = if error.is_some() { Severity::Broken } else { Severity::Notice };
        return Some(Finding { severity, ..broken("import_pending", message) });
    }
    if let Some(last) = progress.last_run_at.filter(|last| now - *last > overdue_after) {
        let message = format!("{listing}: the last round ended at {}; no other has ended since", at(last));
        return Some(broken("overdue", message).hint("the log of `lumo-bridge run` says what it waits for"));
    }
    let notice = |code, message| Some(Finding::new(Severity::Notice, code, message).about(listing));
    match (error, surplus(progress)) {
        (Some(why), _) => {
            let hint = untold(error).map(str::to_owned);
            let finding = notice("incomplete", format!("{listing}: the last round was not complete: {why}"));
            finding.map(|finding| Finding { hint, ..finding })
        }
        (None, Some(rows)) => notice("total_too_high", format!("{listing}: {}", counts_more(rows))),
        (None, None) => None,
    }
}

/// What to do where no round is ever complete, as there is no total: nothing, so that nobody reads again and again.
fn untold(error: Option<&str>) -> Option<&'static str> {
    let is_untold = error.is_some_and(|error| error == Doubt::NoTotal.to_string());
    is_untold.then_some("reading it again proves no more; `lumo-bridge check` says what follows")
}

/// How many more rows `total` counts than are stored, where nothing is missing: these are never listed.
fn surplus(progress: &Progress) -> Option<u64> {
    progress.gap.and_then(|gap| u64::try_from(gap).ok()).filter(|rows| *rows > 0)
}

/// Rows that left the list and are held back from being called missing.
fn of_removals(progress: &Progress) -> Option<Finding> {
    let why = progress.removals_held_why.as_deref()?;
    let message = format!("{}: {why}", progress.listing);
    Some(Finding::new(Severity::Notice, "removals_held", message).about(&progress.listing))
}

/// Rows that seem to have left a list, and that no full scan has looked for yet.
#[must_use]
pub fn of_shrinkage(all: &[Progress], now: DateTime<Utc>) -> Vec<Finding> {
    let finding = |progress: &Progress| {
        let Shrunk { rows, total, listed, is_sought } = shrunk(progress, now)?;
        let listing = &progress.listing;
        let until = if is_sought { "the full scan that looks for them now" } else { "the next full scan" };
        let message = format!(
            "{listing}: Lumo counts {total} rows, and {listed} are stored as listed: {rows} seem to have left the list; none is \
             marked as missing before {until} has shown it"
        );
        let finding = Finding::new(Severity::Notice, "rows_left", message).about(listing);
        Some(finding.hint("if you do not know why, ask Lumo: a backup that was restored looks like this"))
    };
    all.iter().filter_map(finding).collect()
}

/// Items that could not be read.
#[must_use]
pub fn of_rejects(listings: &[Standing]) -> Vec<Finding> {
    let finding = |Standing { listing, rejects, .. }: &Standing| {
        let items = match rejects {
            0 => return None,
            1 => "1 item cannot be read and is kept aside".to_owned(),
            _ => format!("{rejects} items cannot be read and are kept aside"),
        };
        let finding = Finding::new(Severity::Notice, "items_rejected", format!("{listing}: {items}")).about(listing);
        Some(finding.hint("`lumo-bridge sync rejects` says why; everything else goes on without them"))
    };
    listings.iter().filter_map(finding).collect()
}

/// The code of [`of_writing`].
pub const NOT_WRITTEN: &str = "not_written";

/// That the database does not take what is written to it.
#[must_use]
pub fn of_writing(trouble: &WriteTrouble) -> Finding {
    let WriteTrouble { transaction, lasting, reason, hint } = trouble;
    let message = format!(
        "Writing to the database has been failing for {} s (`{transaction}`): {reason}; nothing is stored or sent meanwhile",
        lasting.as_secs()
    );
    let remedy = hint.unwrap_or("see to the database");
    let hint = format!("{remedy}; once it can write, the daemon goes on by itself");
    Finding::new(Severity::Stopped, NOT_WRITTEN, message).hint(hint).blocking()
}

/// A clock may be this far off before it is called wrong.
pub const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(2);

/// Times that are stored and have not come yet: some clock is wrong, or was.
#[must_use]
pub fn of_future(all: &[Progress], now: DateTime<Utc>) -> Vec<Finding> {
    let rounds = all.iter().filter_map(|progress| {
        let last = progress.last_run_at.max(progress.complete_through).max(progress.proved_through)?;
        Some((format!("the last round over {}", progress.listing), last))
    });
    let ahead = rounds.filter(|(_, time)| *time - now > CLOCK_TOLERANCE);
    let finding = |(what, time): (String, DateTime<Utc>)| {
        let message = format!("{what} has a time in the future, {}: a clock is wrong, or was", at(time));
        let hint = "compare the clocks of all machines that run the bridge (NTP); nothing waits for that time";
        Finding::new(Severity::Notice, "time_in_future", message).hint(hint)
    };
    ahead.map(finding).collect()
}

/// What is wrong with the endpoints.
#[must_use]
pub fn of_endpoints(endpoints: &[Endpoint], now: DateTime<Utc>) -> Vec<Finding> {
    if !endpoints.iter().any(|endpoint| endpoint.is_configured) {
        let message = "No endpoint is configured: changes are stored and nobody is called".to_owned();
        let finding = Finding::new(Severity::Notice, "no_endpoint", message);
        let finding = finding.hint("name one under `callbacks.endpoints`, then reload the daemon");
        return endpoints.iter().flat_map(|endpoint| of_endpoint(endpoint, now)).chain([finding]).collect();
    }
    endpoints.iter().flat_map(|endpoint| of_endpoint(endpoint, now)).collect()
}

fn of_endpoint(endpoint: &Endpoint, now: DateTime<Utc>) -> Vec<Finding> {
    let Endpoint { name, waiting, dead, .. } = endpoint;
    let since = endpoint.since.map(|since| format!(" since {}", at(since))).unwrap_or_default();
    let waits = wait(*waiting);
    let because = endpoint.last_error.as_deref().map(|error| format!(" ({error})")).unwrap_or_default();
    let is_refused = endpoint.last_error.as_deref().is_some_and(says_unauthorized);
    let repair = if is_refused { format!("{COMPARE_SECRET};") } else { "repair the receiver,".to_owned() };
    let finding = |severity, code, message| Finding::new(severity, code, message).about(name);
    let state = match endpoint.state {
        _ if !endpoint.is_configured => (*waiting > 0).then(|| {
            let message = format!("{name} is not configured any more; {waits} for it");
            finding(Severity::Notice, "endpoint_removed", message)
                .hint(format!(
                    "put it back into the configuration to deliver them; `lumo-bridge endpoint resume {name} --skip-held --yes` \
                     gives them up"
                ))
        }),
        Some("suspended") => {
            let message = format!("{name} is suspended{since}{because}; {waits} for it");
            let hint =
                format!("{repair} then `lumo-bridge endpoint test {name}` and `lumo-bridge endpoint resume {name}`");
            Some(finding(Severity::Broken, "endpoint_suspended", message).hint(hint))
        }
        Some("failing") => {
            let next = endpoint.hold_until.filter(|next| *next > now);
            let tried = next.map(|next| format!(", next try at {}", at(next))).unwrap_or_default();
            let message = format!("{name} fails{since}{because}{tried}; {waits} for it");
            let hint = if next.is_some_and(|next| is_long_wait(next, now)) {
                format!(
                    "it has asked for quiet until then (Retry-After); `lumo-bridge endpoint resume {name}` ends that, and \
                     `lumo-bridge endpoint test {name}` tries it"
                )
            } else {
                format!(
                    "{repair} what waits goes out in order once it answers; `lumo-bridge endpoint test {name}` tries it"
                )
            };
            Some(finding(Severity::Broken, "endpoint_failing", message).hint(hint))
        }
        Some("paused") => {
            let message = format!("{name} is paused{since}; {waits} for it");
            Some(
                finding(Severity::Notice, "endpoint_paused", message)
                    .hint(format!("`lumo-bridge endpoint resume {name}`")),
            )
        }
        _ => endpoint.hold_until.filter(|until| *until > now).map(|until| {
            let message = format!("{name} is held until {} (Retry-After); {waits} for it", at(until));
            finding(Severity::Notice, "endpoint_held", message)
                .hint(format!("`lumo-bridge endpoint resume {name}` ends the hold"))
        }),
    };
    let dead = (*dead > 0).then(|| {
        let callbacks = if *dead == 1 { "1 callback is".to_owned() } else { format!("{dead} callbacks are") };
        let message = format!("{callbacks} dead: {name} did not take them");
        let hint = format!("`lumo-bridge delivery list --state dead --endpoint {name}` shows why");
        finding(Severity::Broken, "dead_deliveries", message).hint(hint)
    });
    state.into_iter().chain(dead).collect()
}

#[cfg(test)]
mod tests;
