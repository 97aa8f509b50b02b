//! Runs plain SQL for tests, so that they check what is stored without using the code under test.

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, QueryResult, Statement, TryGetable,
};

/// A separate connection to an SQLite file.
pub(crate) struct Eye(DatabaseConnection);

/// A row of a query's result.
pub(crate) struct Row(QueryResult);

impl Eye {
    /// Opens a connection that waits for a writer.
    pub(crate) async fn open(url: &str) -> Self {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let eye = Self(Database::connect(options).await.unwrap());
        eye.execute("PRAGMA busy_timeout = 5000").await;
        eye
    }

    /// A number that is another one as soon as somebody else has written.
    pub(crate) async fn version(&self) -> i64 {
        self.rows("PRAGMA data_version").await[0].get("data_version")
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.0.execute_unprepared(sql).await.unwrap();
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<Row> {
        let rows = self.0.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
        rows.into_iter().map(Row).collect()
    }
}

impl Row {
    /// The value of a column that has one of this type.
    pub(crate) fn get<T: TryGetable>(&self, column: &str) -> T {
        self.0.try_get("", column).unwrap()
    }
}

/// As `name=value`, without what is null.
impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cell = |name: &String| {
            let text: Option<String> = self.0.try_get("", name).ok().flatten();
            let number: Option<i64> = self.0.try_get("", name).ok().flatten();
            text.or_else(|| number.map(|number| number.to_string())).map(|cell| format!("{name}={cell}"))
        };
        f.write_str(&self.0.column_names().iter().filter_map(cell).collect::<Vec<_>>().join(" "))
    }
}
