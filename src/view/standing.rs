//! How far each listing is synced, and what a round over it did.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::run;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Account, EmptyColumn, Endpoint, Finding, Speed, Watching, finding};
use crate::lumo::DepositFields;
use crate::model::{Listing, PerListing};
use crate::store::{Error, Progress, Store};
use crate::sync::tail::watch::Plan;
use crate::sync::{LEASE, LEASE_TIME, Report, Tally};

/// No lease ends later than this from now, even if clocks differ by some seconds.
const LONGEST_LEASE: TimeDelta = TimeDelta::minutes(1);

/// Everything at a glance.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Status {
    /// One sentence: everything is synced and delivered, or the worst that is wrong.
    pub summary: String,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// The version of the program that says this.
    pub version: &'static str,
    /// The database's name and version; null if that was not asked.
    pub database: Option<String>,
    /// Whose data the tables hold; null until that is known.
    pub account: Option<Account>,
    pub reader: Reader,
    pub listings: Vec<Standing>,
    pub endpoints: Vec<Endpoint>,
    /// Null while nobody is watched.
    pub watching: Option<Watching>,
    /// Absent while Lumo is asked as fast as configured.
    pub speed: Option<Speed>,
    /// Columns of the deposits that are empty in every row, and what may belong there.
    pub empty_columns: Vec<EmptyColumn>,
}

/// The process that reads the listings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reader {
    /// Whether there is one.
    pub is_running: bool,
    /// Until when its lease lasts, which it renews as long as it lives; or lasted. Null if nothing was ever read.
    pub lease_until: Option<DateTime<Utc>>,
    /// Since when a process that is alive has written nothing. Null if there is none, or if nothing shows whether there is.
    pub silent_since: Option<DateTime<Utc>>,
}

impl Reader {
    /// What a lease says. One that ends later than a lease can last was written by a clock that was wrong, and says nothing.
    #[must_use]
    pub fn of(lease_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let is_running = lease_until.is_some_and(|until| until > now && until - now <= LONGEST_LEASE);
        Self { is_running, lease_until, silent_since: None }
    }

    /// What the lease says, and whether a process is alive that has not renewed it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load(store: &Store, now: DateTime<Utc>) -> Result<Self, Error> {
        let Some(holder) = store.holder(LEASE).await? else { return Ok(Self::default()) };
        let reader = Self::of(Some(holder.expires_at), now);
        let has_ended = holder.expires_at <= now && !holder.is_given_up();
        if !has_ended || !store.knows_living(holder.process).await? {
            return Ok(reader);
        }
        Ok(Self { silent_since: Some(holder.expires_at - LEASE_TIME), ..reader })
    }

    /// The same, of a process that has shown in another way that it is alive.
    #[must_use]
    fn alive(self, now: DateTime<Utc>) -> Self {
        let ended = self.lease_until.filter(|until| *until <= now);
        Self { silent_since: self.silent_since.or(ended.map(|until| until - LEASE_TIME)), ..self }
    }

    /// Whether a daemon is known to be alive.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        self.is_running || self.silent_since.is_some()
    }
}

impl Status {
    /// Loads and judges what there is. `overdue_after` is how long each listing may go without the end of a round; `fields`
    /// say where deposits keep what, and `plan` how watched users are looked for.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load(
        store: &Store,
        endpoints: Vec<Endpoint>,
        overdue_after: PerListing<TimeDelta>,
        fields: &DepositFields,
        plan: Plan,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        let reader = Reader::load(store, now).await?;
        let (mut progresses, mut listings) = (Vec::new(), Vec::new());
        for listing in Listing::ALL {
            let (rows, progress) = (store.rows(listing).await?, store.progress(listing).await?);
            let (rejects, runs) = (store.rejects(listing).await?, store.runs(listing, 1).await?);
            listings.push(Standing { rejects, ..Standing::new(listing, rows, progress.clone(), runs.first(), now) });
            progresses.push(progress);
        }
        let mut findings = finding::of_listings(&progresses, overdue_after, now);
        findings.extend(finding::of_shrinkage(&progresses, now));
        let account = store.account().await?.map(Account::from);
        findings.extend(account.as_ref().and_then(finding::of_account));
        findings.extend(finding::of_rejects(&listings));
        // Whoever cannot write cannot show that it runs.
        findings.extend(match store.write_trouble() {
            Some(trouble) => Some(finding::of_writing(&trouble)),
            None => finding::of_reader(&reader, now),
        });
        findings.extend(finding::of_future(&progresses, now));
        findings.extend(finding::of_endpoints(&endpoints, now));
        let speed = Speed::load(store, now).await?;
        findings.extend(speed.as_ref().map(Speed::finding));
        let empty_columns = EmptyColumn::load(store, fields).await?;
        findings.extend(empty_columns.iter().filter_map(EmptyColumn::finding));
        let watching = Watching::load(store, plan, now).await?;
        let database = Some(store.server_version().await?);
        Ok(Self {
            database,
            account,
            watching,
            speed,
            empty_columns,
            ..Self::of(reader, findings, listings, endpoints)
        })
    }

    /// The same, with what a daemon has said of its writing. Whoever says that is alive, though the tables do not show it:
    /// it cannot write there, and a server that takes no writes may have ended the session that holds its lock.
    #[must_use]
    pub fn with(mut self, found: Finding, now: DateTime<Utc>) -> Self {
        self.findings.retain(|finding| !finding::speaks_of_reader(finding));
        self.reader = self.reader.alive(now);
        self.findings.insert(0, found);
        self.findings.sort_by_key(|finding| finding.severity);
        self.summary = finding::summary(&self.findings, &self.endpoints);
        self
    }

    /// Puts together what was found.
    #[must_use]
    pub fn of(reader: Reader, mut findings: Vec<Finding>, listings: Vec<Standing>, endpoints: Vec<Endpoint>) -> Self {
        findings.sort_by_key(|finding| finding.severity);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            database: None,
            summary: finding::summary(&findings, &endpoints),
            findings,
            account: None,
            watching: None,
            reader,
            listings,
            endpoints,
            speed: None,
            empty_columns: Vec::new(),
        }
    }
}

/// Where one listing stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Standing {
    pub listing: &'static str,
    /// `fresh`, `stalled`, `key_refused`, `importing`, or `pending` before the first import.
    pub state: &'static str,
    pub rows: u64,
    /// Items that could not be read and are kept aside; `lumo-bridge sync rejects` lists them.
    pub rejects: u64,
    /// How old the copy is: the seconds since `complete_through`.
    pub lag_seconds: Option<i64>,
    /// When it was first asked for, with or without success.
    pub first_run_at: Option<DateTime<Utc>>,
    /// How many rows the server told last.
    pub last_total: Option<i64>,
    /// Everything that was listed before then is in the tables, by the last complete round.
    pub complete_through: Option<DateTime<Utc>>,
    /// The same, by the last reading of the whole list.
    pub proved_through: Option<DateTime<Utc>>,
    pub gap: Option<i64>,
    pub stalled_since: Option<DateTime<Utc>>,
    pub unauthorized_since: Option<DateTime<Utc>>,
    /// How many rows left the list and are held back from being called missing.
    pub removals_held: Option<i64>,
    pub removals_held_since: Option<DateTime<Utc>>,
    /// Why, in a sentence.
    pub removals_held_why: Option<String>,
    pub import: &'static str,
    pub import_started_at: Option<DateTime<Utc>>,
    pub import_done_at: Option<DateTime<Utc>>,
    pub page_limit: Option<i32>,
    pub last_run_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub last_pass: Option<Pass>,
}

/// A row of `lumo_sync_runs`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Pass {
    pub outcome: &'static str,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub requests: i64,
    pub rows: i64,
    pub appeared: i64,
    pub changed: i64,
    pub rejected: i64,
}

impl Standing {
    #[must_use]
    pub fn new(
        listing: Listing,
        rows: u64,
        progress: Progress,
        last_pass: Option<&run::Model>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            listing: listing.as_str(),
            state: state(&progress),
            rows,
            rejects: 0,
            lag_seconds: progress.complete_through.map(|through| (now - through).num_seconds().max(0)),
            first_run_at: progress.first_run_at,
            last_total: progress.last_total,
            complete_through: progress.complete_through,
            proved_through: progress.proved_through,
            gap: progress.gap,
            stalled_since: progress.stalled_since,
            unauthorized_since: progress.unauthorized_since,
            removals_held: progress.removals_held,
            removals_held_since: progress.removals_held_since,
            removals_held_why: progress.removals_held_why,
            import: match (progress.import_started_at, progress.import_done_at) {
                (_, Some(_)) => "done",
                (Some(_), None) => "running",
                (None, None) => "pending",
            },
            import_started_at: progress.import_started_at,
            import_done_at: progress.import_done_at,
            page_limit: progress.page_limit,
            last_run_at: progress.last_run_at,
            last_error: progress.last_error,
            last_pass: last_pass.map(|pass| Pass {
                outcome: pass.outcome.as_str(),
                started_at: pass.started_at,
                finished_at: pass.finished_at,
                requests: pass.requests,
                rows: pass.rows,
                appeared: pass.appeared,
                changed: pass.changed,
                rejected: pass.rejected,
            }),
        }
    }
}

fn state(progress: &Progress) -> &'static str {
    match progress {
        Progress { unauthorized_since: Some(_), .. } => "key_refused",
        Progress { stalled_since: Some(_), .. } => "stalled",
        Progress { import_done_at: Some(_), .. } => "fresh",
        Progress { import_started_at: Some(_), .. } => "importing",
        _ => "pending",
    }
}

/// What a round did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Round {
    pub listing: &'static str,
    pub outcome: &'static str,
    pub requests: u64,
    pub rows: u64,
    pub appeared: u64,
    pub changed: u64,
    pub events: u64,
    /// Items that could not be read.
    pub rejected: u64,
    pub duration_ms: i64,
    /// Rows that were marked as missing.
    pub vanished: u64,
    /// Which rows left the list and are held back from being called missing, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removals_held: Option<String>,
    /// Why it is not complete, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// What it would have told, after a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_announce: Vec<Announcement>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Announcement {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub object: String,
}

impl Round {
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let Tally { requests, rows, appeared, changed, events, rejected, vanished, .. } = report.tally;
        let announcement = |(kind, object): &(crate::model::event::EventType, String)| Announcement {
            kind: kind.as_str(),
            object: object.clone(),
        };
        Self {
            listing: report.listing.as_str(),
            outcome: report.outcome.as_str(),
            requests,
            rows,
            appeared,
            changed,
            events,
            rejected,
            duration_ms: report.duration_ms(),
            vanished,
            removals_held: report.removals_held.clone(),
            doubt: report.doubt.clone(),
            would_announce: report.preview.iter().map(announcement).collect(),
        }
    }
}
