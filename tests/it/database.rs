//! A database for one test: fresh and empty, of a kind that the test names, gone when the test ends.
//!
//! SQLite is a file in a directory of its own. PostgreSQL and MariaDB get a database of their own on the server that
//! `tests/run` starts and names in the environment; without it the test fails and says so, it is never skipped.
//! What is asked of it here goes through a connection of its own and in plain SQL: a test must not learn from the code
//! under test what is stored.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel,
    QueryResult, Statement, TransactionOptions, TransactionTrait,
};
use tempfile::TempDir;
use url::Url;

/// Makes one test per database of each `async fn name(database: Database)`, named `…::sqlite::name`,
/// `…::postgres::name` and `…::mariadb::name`. Once per file.
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {
        crate::database::on_each_database!(@module sqlite: $($name)+);
        crate::database::on_each_database!(@module postgres: $($name)+);
        crate::database::on_each_database!(@module mariadb: $($name)+);
    };
    (@module $kind:ident: $($name:ident)+) => {
        mod $kind {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    Box::pin(super::$name(crate::database::Database::$kind().await)).await;
                }
            )+
        }
    };
}
pub(crate) use on_each_database;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A cell of a row as text; none is NULL.
pub(crate) type Cell = Option<String>;

/// A database of its own for one test.
pub(crate) struct Database {
    url: String,
    connection: DatabaseConnection,
    /// What is removed in the end.
    keep: Keep,
}

enum Keep {
    File { _directory: TempDir },
    Server { admin: Url, name: String },
}

impl Database {
    pub(crate) async fn sqlite() -> Self {
        Self::sqlite_in(&std::env::temp_dir()).await
    }

    /// A file below this folder.
    pub(crate) async fn sqlite_in(folder: &Path) -> Self {
        let directory = tempfile::tempdir_in(folder).expect("no directory for a temporary file");
        let url = format!("sqlite://{}", directory.path().join("bridge.db").display());
        let connection = connect(&format!("{url}?mode=rwc")).await.expect("SQLite file not opened");
        Self { url, connection, keep: Keep::File { _directory: directory } }
    }

    pub(crate) async fn postgres() -> Self {
        Self::on_server("LUMO_TEST_POSTGRES_URL").await
    }

    pub(crate) async fn mariadb() -> Self {
        Self::on_server("LUMO_TEST_MARIADB_URL").await
    }

    async fn on_server(variable: &str) -> Self {
        let Ok(admin) = std::env::var(variable) else {
            panic!(
                "{variable} is not set: run the tests with `tests/run`, which starts the database servers they need"
            );
        };
        let admin = Url::parse(&admin).unwrap_or_else(|error| panic!("{variable} is not a URL: {error}"));
        Self::created(admin, "").await
    }

    /// A database without characters of most languages.
    pub(crate) async fn postgres_in_latin1() -> Self {
        let admin = std::env::var("LUMO_TEST_POSTGRES_URL").expect("run the tests with `tests/run`");
        Self::created(admin.parse().unwrap(), "ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").await
    }

    /// A database on the MariaDB of one test, whose `root` has no password.
    pub(crate) async fn on_mariadb(server: SocketAddr) -> Self {
        Self::created(format!("mysql://root@{server}/mysql").parse().unwrap(), "").await
    }

    /// A database on the PostgreSQL of one test, which trusts everybody.
    pub(crate) async fn on_postgres(server: SocketAddr) -> Self {
        Self::created(format!("postgres://postgres@{server}/postgres").parse().unwrap(), "").await
    }

    async fn created(admin: Url, options: &str) -> Self {
        let name = format!("lumo_test_{:016x}", rand::random::<u64>());
        let server = connect(admin.as_str()).await.unwrap_or_else(|error| panic!("no server for tests: {error}"));
        server.execute_unprepared(&format!("CREATE DATABASE {name} {options}")).await.expect("database not created");
        server.close().await.expect("connection not closed");
        let mut url = admin.clone();
        url.set_path(&name);
        let keep = Keep::Server { admin, name };
        let connection = connect(url.as_str()).await.expect("new database not opened");
        Self { url: url.into(), connection, keep }
    }

    /// Goes on at another server that has the same database.
    pub(crate) async fn move_to(&mut self, server: SocketAddr) {
        let mut url = Url::parse(&self.url).unwrap();
        url.set_port(Some(server.port())).unwrap();
        self.url = url.into();
        self.connection = connect(&self.url).await.expect("database not opened at the other server");
    }

    /// What goes into `database.url`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.backend() == DbBackend::Sqlite
    }

    /// A connection that knows nothing of the bridge.
    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// The SQL that reads a column of any type as text, digit for digit.
    pub(crate) fn text(&self, column: &str) -> String {
        match self.backend() {
            DbBackend::MySql => format!("CAST({column} AS CHAR)"),
            _ => format!("CAST({column} AS TEXT)"),
        }
    }

    /// A name that may be a keyword.
    pub(crate) fn quote(&self, name: &str) -> String {
        match self.backend() {
            DbBackend::MySql => format!("`{name}`"),
            _ => format!("\"{name}\""),
        }
    }

    /// Runs statements.
    pub(crate) async fn execute(&self, sql: &str) {
        self.connection.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Runs a statement in a transaction that stays open, with its locks, until it is released.
    pub(crate) async fn hold(&self, sql: &str) -> Held {
        let connection = connect(&self.url).await.expect("database not opened");
        let begin = TransactionOptions { isolation_level: Some(IsolationLevel::ReadCommitted), ..Default::default() };
        let transaction = connection.begin_with_options(begin).await.expect("transaction not begun");
        let statement = Statement::from_string(self.backend(), sql);
        transaction.query_all_raw(statement).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        Held { transaction, connection }
    }

    /// Like [`Database::execute`], where the database may refuse.
    pub(crate) async fn try_execute(&self, sql: &str) -> Result<(), DbErr> {
        self.connection.execute_unprepared(sql).await.map(drop)
    }

    /// The rows of a query, each cell as text: integers in decimal, booleans as 0 and 1, times as RFC 3339. Amounts must
    /// be read through [`Database::text`].
    pub(crate) async fn rows(&self, sql: &str) -> Vec<Vec<Cell>> {
        self.try_rows(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Like [`Database::rows`], where the tables may not be there yet.
    pub(crate) async fn try_rows(&self, sql: &str) -> Result<Vec<Vec<Cell>>, DbErr> {
        let rows = self.connection.query_all_raw(Statement::from_string(self.backend(), sql)).await?;
        rows.iter().map(|row| (0..row.column_names().len()).map(|index| cell(row, index)).collect()).collect()
    }

    /// The only cell of the only row, which is not NULL.
    pub(crate) async fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        match rows.as_slice() {
            [row] if row.len() == 1 => row[0].clone().unwrap_or_else(|| panic!("{sql}: NULL")),
            _ => panic!("{sql}: one cell was expected: {rows:?}"),
        }
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.value(sql).await.parse().unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// How many rows the table has where the condition holds.
    pub(crate) async fn count(&self, table: &str, condition: &str) -> i64 {
        self.number(&format!("SELECT COUNT(*) FROM {table} WHERE {condition}")).await
    }

    /// Waits until the rows of the query are such, and fails when the time is up. A query that fails counts as "not yet".
    pub(crate) async fn until(&self, what: &str, within: Duration, sql: &str, done: impl Fn(&[Vec<Cell>]) -> bool) {
        let deadline = Instant::now() + within;
        loop {
            let rows = self.try_rows(sql).await;
            if rows.as_ref().is_ok_and(|rows| done(rows)) {
                return;
            }
            assert!(Instant::now() < deadline, "not within {within:?}: {what}; last seen: {rows:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a query for one number gives at least this one.
    pub(crate) async fn until_at_least(&self, least: i64, within: Duration, sql: &str) {
        let number = |rows: &[Vec<Cell>]| rows.first()?.first()?.as_deref()?.parse::<i64>().ok();
        let what = format!("{sql} is at least {least}");
        self.until(&what, within, sql, |rows| number(rows).is_some_and(|number| number >= least)).await;
    }
}

/// A transaction that holds locks.
pub(crate) struct Held {
    transaction: DatabaseTransaction,
    connection: DatabaseConnection,
}

impl Held {
    /// Undoes what was done.
    pub(crate) async fn release(self) {
        self.transaction.rollback().await.expect("transaction not rolled back");
        self.connection.close().await.expect("connection not closed");
    }

    /// Keeps what was done.
    pub(crate) async fn commit(self) {
        self.transaction.commit().await.expect("transaction not committed");
        self.connection.close().await.expect("connection not closed");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Keep::Server { admin, name } = &self.keep else { return };
        let (admin, name) = (admin.clone(), name.clone());
        // The test's runtime cannot be waited for from here.
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("no runtime").block_on(remove(&admin, &name))
        });
        match removed.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("test database not removed: {error}"),
            Err(_) => eprintln!("test database not removed: its thread panicked"),
        }
    }
}

async fn remove(admin: &Url, name: &str) -> Result<(), DbErr> {
    let server = connect(admin.as_str()).await?;
    if server.get_database_backend() == DbBackend::Postgres {
        server.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
    } else {
        // A transaction that a killed process left behind would be waited for.
        let open = format!("SELECT id FROM information_schema.processlist WHERE db = '{name}'");
        for row in server.query_all_raw(Statement::from_string(DbBackend::MySql, open)).await? {
            // It may have gone by itself.
            drop(server.execute_unprepared(&format!("KILL {}", row.try_get_by_index::<i64>(0)?)).await);
        }
        server.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name}")).await?;
    }
    server.close().await
}

async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).connect_timeout(Duration::from_secs(20)).sqlx_logging(false);
    sea_orm::Database::connect(options).await
}

fn cell(row: &QueryResult, index: usize) -> Result<Cell, DbErr> {
    if let Ok(text) = row.try_get_by_index::<Option<String>>(index) {
        return Ok(text);
    }
    if let Ok(number) = row.try_get_by_index::<Option<i64>>(index) {
        return Ok(number.map(|number| number.to_string()));
    }
    if let Ok(number) = row.try_get_by_index::<Option<i32>>(index) {
        return Ok(number.map(|number| number.to_string()));
    }
    if let Ok(flag) = row.try_get_by_index::<Option<bool>>(index) {
        return Ok(flag.map(|flag| u8::from(flag).to_string()));
    }
    let time = row.try_get_by_index::<Option<chrono::DateTime<chrono::Utc>>>(index)?;
    Ok(time.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)))
}
