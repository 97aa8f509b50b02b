//! What is stored, read in plain SQL.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use chrono::{DateTime, Utc};
use lumo_bridge::model::Listing;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, QueryResult, Statement};

use crate::sim::model::Kind;

/// A wallet or deposit, in brief.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) number: u64,
    pub(crate) fingerprint: i64,
    pub(crate) version: i64,
    pub(crate) missing_since: Option<DateTime<Utc>>,
    pub(crate) first_seen_at: DateTime<Utc>,
    pub(crate) row_no: i64,
}

pub(crate) type Rows = BTreeMap<String, Stored>;

/// Where a listing stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    pub(crate) import_started_at: Option<DateTime<Utc>>,
    pub(crate) import_done_at: Option<DateTime<Utc>>,
    pub(crate) proved_through: Option<DateTime<Utc>>,
    pub(crate) complete_through: Option<DateTime<Utc>>,
}

/// An event, in brief.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) seq: i64,
    pub(crate) kind: String,
    pub(crate) stream: String,
    pub(crate) stream_seq: i64,
    pub(crate) object_kind: String,
    pub(crate) object_id: String,
    pub(crate) body: String,
}

pub(crate) struct Tables(DatabaseConnection);

impl Tables {
    pub(crate) async fn open(file: &Path) -> Self {
        let mut options = ConnectOptions::new(format!("sqlite://{}", file.display()));
        options.max_connections(1).sqlx_logging(false);
        Self(Database::connect(options).await.expect("database not opened"))
    }

    async fn query(&self, sql: &str) -> Vec<QueryResult> {
        let rows = self.0.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await;
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.0.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) async fn rows(&self, kind: Kind) -> Rows {
        let table = match kind {
            Kind::Wallet => "lumo_user_wallets",
            Kind::Deposit => "lumo_user_deposits",
        };
        let sql = format!("SELECT id, fingerprint, version, missing_since, first_seen_at, row_no FROM {table}");
        let row = |row: QueryResult| {
            let id: String = row.try_get_by_index(0).unwrap();
            let stored = Stored {
                number: id[1..].parse().unwrap(),
                fingerprint: row.try_get_by_index(1).unwrap(),
                version: row.try_get_by_index(2).unwrap(),
                missing_since: row.try_get_by_index(3).unwrap(),
                first_seen_at: row.try_get_by_index(4).unwrap(),
                row_no: row.try_get_by_index(5).unwrap(),
            };
            (id, stored)
        };
        self.query(&sql).await.into_iter().map(row).collect()
    }

    pub(crate) async fn marks(&self) -> HashMap<Listing, Marks> {
        let sql =
            "SELECT listing, import_started_at, import_done_at, proved_through, complete_through FROM lumo_sync_state";
        let marks = |row: QueryResult| {
            let listing: String = row.try_get_by_index(0).unwrap();
            let marks = Marks {
                import_started_at: row.try_get_by_index(1).unwrap(),
                import_done_at: row.try_get_by_index(2).unwrap(),
                proved_through: row.try_get_by_index(3).unwrap(),
                complete_through: row.try_get_by_index(4).unwrap(),
            };
            (listing.parse().unwrap(), marks)
        };
        self.query(sql).await.into_iter().map(marks).collect()
    }

    /// Everything that is stored of where a listing stands, as one text.
    pub(crate) async fn state(&self, listing: Listing) -> Option<String> {
        let columns = [
            "import_started_at",
            "import_done_at",
            "page_limit",
            "last_total",
            "complete_through",
            "last_run_at",
            "last_error",
            "proved_through",
            "gap",
            "stalled_since",
            "unauthorized_since",
            "memory",
        ];
        let all = columns.map(|column| format!("quote({column})")).join(" || ' ' || ");
        let sql = format!("SELECT {all} FROM lumo_sync_state WHERE listing = '{listing}'");
        self.query(&sql).await.first().map(|row| row.try_get_by_index(0).unwrap())
    }

    /// How many rows of a listing are held back from being called missing.
    pub(crate) async fn removals_held(&self, listing: Listing) -> i64 {
        let sql = format!("SELECT removals_held FROM lumo_sync_state WHERE listing = '{listing}'");
        self.query(&sql).await.first().and_then(|row| row.try_get_by_index(0).unwrap()).unwrap_or(0)
    }

    /// What is said to be wrong with a listing; empty if nothing is.
    pub(crate) async fn troubles(&self, listing: Listing) -> String {
        let columns = ["stalled_since", "unauthorized_since", "last_error", "removals_held", "removals_held_why"];
        let all = columns.map(|column| format!("COALESCE('{column} ' || {column}, '')")).join(" || ");
        let more = "CASE WHEN gap > 0 THEN 'gap ' || gap ELSE '' END";
        let sql = format!("SELECT {all} || {more} FROM lumo_sync_state WHERE listing = '{listing}'");
        self.query(&sql).await.first().map_or_else(String::new, |row| row.try_get_by_index(0).unwrap())
    }

    pub(crate) async fn events(&self, after: i64) -> Vec<Event> {
        let sql = format!(
            "SELECT seq, \"type\", stream, stream_seq, object_kind, object_id, body FROM lumo_events WHERE seq > {after}
             ORDER BY seq"
        );
        let event = |row: QueryResult| Event {
            seq: row.try_get_by_index(0).unwrap(),
            kind: row.try_get_by_index(1).unwrap(),
            stream: row.try_get_by_index(2).unwrap(),
            stream_seq: row.try_get_by_index(3).unwrap(),
            object_kind: row.try_get_by_index(4).unwrap(),
            object_id: row.try_get_by_index(5).unwrap(),
            body: row.try_get_by_index(6).unwrap(),
        };
        self.query(&sql).await.into_iter().map(event).collect()
    }
}
