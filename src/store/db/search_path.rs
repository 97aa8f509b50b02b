//! Names the schema of a PostgreSQL database as the search path of a session.

use sqlx::postgres::PgConnectOptions;

/// Options for a session that starts with the schema as its search path, if there is one.
pub(in crate::store) fn with_search_path(options: PgConnectOptions, schema: Option<&str>) -> PgConnectOptions {
    match schema {
        Some(schema) => options.options([("search_path", quoted(schema))]),
        None => options,
    }
}

/// A schema's name as an SQL identifier.
pub(in crate::store) fn quoted(schema: &str) -> String {
    format!("\"{}\"", schema.replace('"', "\"\""))
}

/// The setting for a merchant's statement in a transaction of the bridge: it finds the tables in the schema, and then
/// what the server's default path finds.
pub(in crate::store) fn widened(schema: &str) -> String {
    format!("SET LOCAL search_path = {}, \"$user\", public", quoted(schema))
}

/// The setting for the bridge's own statements.
pub(in crate::store) fn narrowed(schema: &str) -> String {
    format!("SET LOCAL search_path = {}", quoted(schema))
}
