//! Builds raw SQL that all three databases accept, and prepares the values of any statement for the driver.
//!
//! `?` stands for a value, `"type"` for the one column whose name is a keyword.

use sea_orm::{DbBackend, Statement, Value};

/// A statement and its values, built piece by piece.
pub(in crate::store) struct Sql {
    backend: DbBackend,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(in crate::store) fn new(backend: DbBackend, text: &str, values: impl IntoIterator<Item = Value>) -> Self {
        let mut sql = Self { backend, text: String::with_capacity(text.len() + 64), values: Vec::new() };
        sql.push(text, values);
        sql
    }

    /// Adds text with its values, one for each `?`.
    fn push(&mut self, text: &str, values: impl IntoIterator<Item = Value>) {
        let before = self.values.len();
        self.values.extend(values);
        let mut number = before;
        for piece in text.split_inclusive('?') {
            let Some(plain) = piece.strip_suffix('?') else {
                self.push_plain(piece);
                continue;
            };
            self.push_plain(plain);
            number += 1;
            match self.backend {
                DbBackend::Postgres => self.text.push_str(&format!("${number}")),
                _ => self.text.push('?'),
            }
        }
        debug_assert_eq!(number, self.values.len(), "{text}");
    }

    /// As [`Sql::push`], for chained calls.
    #[must_use]
    pub(in crate::store) fn and(mut self, text: &str, values: impl IntoIterator<Item = Value>) -> Self {
        self.push(text, values);
        self
    }

    /// Adds `column IN (…)`. There are few different texts, for any number of values, because databases cache prepared
    /// statements by their text.
    #[must_use]
    pub(in crate::store) fn and_numbers(mut self, column: &str, numbers: &[i64]) -> Self {
        match self.backend {
            DbBackend::MySql => {
                let numbers = padded(numbers.iter().copied());
                let marks = vec!["?"; numbers.len()].join(", ");
                self.push(&format!("{column} IN ({marks})"), numbers.into_iter().map(Value::from));
            }
            DbBackend::Postgres => {
                // As an array that is built once: with a join on a list, PostgreSQL scans a table without statistics.
                let text = format!("{column} = ANY(ARRAY(SELECT json_array_elements_text(?::text::json)::bigint))");
                self.push(&text, [list(numbers)]);
            }
            _ => self.push(&format!("{column} IN (SELECT value FROM json_each(?))"), [list(numbers)]),
        }
        self
    }

    /// Adds `column IN (…)` for texts.
    #[must_use]
    pub(in crate::store) fn and_texts<T: AsRef<str>>(mut self, column: &str, texts: &[T]) -> Self {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        match self.backend {
            DbBackend::MySql => {
                let texts = padded(texts);
                let marks = vec!["?"; texts.len()].join(", ");
                self.push(&format!("{column} IN ({marks})"), texts.into_iter().map(Value::from));
            }
            DbBackend::Postgres => {
                let text = format!("{column} = ANY(ARRAY(SELECT json_array_elements_text(?::text::json)))");
                self.push(&text, [serde_json::Value::from(texts).to_string().into()]);
            }
            _ => {
                let text = format!("{column} IN (SELECT value FROM json_each(?))");
                self.push(&text, [serde_json::Value::from(texts).to_string().into()]);
            }
        }
        self
    }

    pub(in crate::store) fn statement(self) -> Statement {
        Statement::from_sql_and_values(self.backend, self.text, self.values)
    }

    fn push_plain(&mut self, text: &str) {
        match self.backend {
            DbBackend::MySql => self.text.push_str(&text.replace('"', "`")),
            _ => self.text.push_str(text),
        }
    }
}

/// Prepares the values of a statement for the driver, which sends a `DateTime<Utc>` to MySQL as a TIMESTAMP. MariaDB turns
/// one before 1970 or after 2038 into NULL, even if the column could store it, so times are sent there without a zone.
pub(in crate::store) fn for_driver(mut statement: Statement) -> Statement {
    if statement.db_backend == DbBackend::MySql {
        for value in statement.values.iter_mut().flat_map(|values| values.0.iter_mut()) {
            if let Value::ChronoDateTimeUtc(time) = value {
                *value = Value::ChronoDateTime(time.map(|time| time.naive_utc()));
            }
        }
    }
    statement
}

fn list(numbers: &[i64]) -> Value {
    serde_json::Value::from(numbers.to_vec()).to_string().into()
}

/// The values, with the last one repeated until there are 1, 10, 100 or 500. So there are few statement texts:
/// databases cache prepared statements by their text, and evicting one is expensive.
pub(in crate::store) fn padded<T: Clone>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    let length = [1, 10, 100, 500].into_iter().find(|length| *length >= values.len());
    if let (Some(length), Some(last)) = (length, values.last().cloned()) {
        values.resize(length, last);
    }
    values
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    #[test]
    fn values_keep_their_places_on_each_database() {
        let sql = |backend| {
            let sql = Sql::new(backend, r#"SELECT "type" FROM t WHERE a = ?"#, [1.into()]);
            sql.and(" AND b = ? AND ", [2.into()]).and_numbers("seq", &[3, 4]).statement()
        };
        let (postgres, mysql) = (sql(DbBackend::Postgres), sql(DbBackend::MySql));
        assert_eq!(
            postgres.sql,
            r#"SELECT "type" FROM t WHERE a = $1 AND b = $2 AND seq = ANY(ARRAY(SELECT json_array_elements_text($3::text::json)::bigint))"#
        );
        assert!(mysql.sql.starts_with("SELECT `type` FROM t WHERE a = ? AND b = ? AND seq IN (?, ?"), "{}", mysql.sql);
        assert_eq!(mysql.values.unwrap().0.len(), 12);
        assert_eq!(sql(DbBackend::Sqlite).values.unwrap().0.len(), 3);
    }

    #[test]
    fn times_go_to_mysql_without_a_zone() {
        let time: DateTime<Utc> = "2066-05-04T10:11:12.345678Z".parse().unwrap();
        let values = || [time.into(), Value::ChronoDateTimeUtc(None), "2066".into()];
        let sent = |backend| for_driver(Statement::from_sql_and_values(backend, "SELECT ?, ?, ?", values())).values;
        let plain = [time.naive_utc().into(), Value::ChronoDateTime(None), "2066".into()];
        assert_eq!(sent(DbBackend::MySql).unwrap().0, plain);
        for backend in [DbBackend::Postgres, DbBackend::Sqlite] {
            assert_eq!(sent(backend).unwrap().0, values());
        }
        let bare = Statement::from_string(DbBackend::MySql, "SELECT 1");
        assert_eq!(for_driver(bare.clone()), bare);
    }
}
