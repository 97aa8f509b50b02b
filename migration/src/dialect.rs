//! Table definitions that render to the SQL of each database.
//!
//! The three databases differ in types, in where an index is declared and in which of them can be partial; a table here
//! says what it means once. Indexes are partial where that exists: MySQL keeps the rows with nulls in them, which costs
//! space there and no time.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DbBackend, Statement};

pub(crate) enum Type {
    /// Text that is part of a key, with its longest length in characters.
    Key(u16),
    Text,
    LongText,
    Bool,
    Int,
    BigInt,
    /// UTC, microseconds.
    Time,
    /// Exact decimal; text on SQLite, which has none.
    Decimal,
    /// Up to 64 KiB.
    Bytes,
}

pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Type,
    pub(crate) null: bool,
}

/// A column that always has a value.
pub(crate) const fn req(name: &'static str, kind: Type) -> Column {
    Column { name, kind, null: false }
}

/// A column that may be null.
pub(crate) const fn opt(name: &'static str, kind: Type) -> Column {
    Column { name, kind, null: true }
}

pub(crate) struct Index {
    pub(crate) name: &'static str,
    /// Where a number in parentheses follows, that many characters of a text, which MySQL asks for; the others take all.
    pub(crate) columns: &'static str,
    pub(crate) unique: bool,
    /// Rows outside of it are left out, where the database can do that.
    pub(crate) only: Option<&'static str>,
}

/// A plain index.
pub(crate) const fn index(name: &'static str, columns: &'static str) -> Index {
    Index { name, columns, unique: false, only: None }
}

pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    pub(crate) primary: &'static str,
    pub(crate) indexes: &'static [Index],
}

/// What a statement is rendered for.
pub(crate) struct Dialect {
    backend: DbBackend,
    /// The binary collation of MySQL or MariaDB that tells `a` from `a ` and from `A`.
    collation: &'static str,
}

impl Dialect {
    pub(crate) async fn of(manager: &SchemaManager<'_>) -> Result<Self, DbErr> {
        let backend = manager.get_database_backend();
        let mut collation = "";
        if backend == DbBackend::MySql {
            let statement = Statement::from_string(backend, "SELECT VERSION() AS version");
            let row = manager.get_connection().query_one_raw(statement).await?;
            let version: String = row.map(|row| row.try_get("", "version")).transpose()?.unwrap_or_default();
            collation = if version.contains("MariaDB") { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" };
        }
        Ok(Self { backend, collation })
    }

    fn type_name(&self, kind: &Type) -> String {
        let name = match (kind, self.backend) {
            (Type::Key(len), DbBackend::Sqlite) => return format!("text /* up to {len} */"),
            (Type::Key(len), _) => return format!("varchar({len})"),
            (Type::Text | Type::LongText, DbBackend::MySql) => "longtext",
            (Type::Text | Type::LongText, _) => "text",
            (Type::Bool, _) => "boolean",
            (Type::Int, _) => "integer",
            (Type::BigInt, _) => "bigint",
            (Type::Time, DbBackend::Postgres) => "timestamptz",
            (Type::Time, DbBackend::MySql) => "datetime(6)",
            (Type::Time, _) => "text",
            (Type::Decimal, DbBackend::Postgres) => "numeric",
            (Type::Decimal, DbBackend::MySql) => "decimal(65,30)",
            (Type::Decimal, _) => "text",
            (Type::Bytes, DbBackend::Postgres) => "bytea",
            (Type::Bytes, _) => "blob",
        };
        name.to_owned()
    }

    /// The statements that make a table and its indexes, each harmless if repeated.
    pub(crate) fn create(&self, table: &Table) -> Vec<String> {
        let mut lines: Vec<String> = table.columns.iter().map(|column| self.define(column)).collect();
        lines.push(format!("PRIMARY KEY ({})", self.columns(table.primary)));
        if self.backend == DbBackend::MySql {
            lines.extend(table.indexes.iter().map(|index| {
                let unique = if index.unique { "UNIQUE " } else { "" };
                format!("{unique}KEY {} ({})", index.name, self.columns(index.columns))
            }));
        }
        let tail = match self.backend {
            DbBackend::MySql => format!(" ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {}", self.collation),
            _ => String::new(),
        };
        let create = format!("CREATE TABLE IF NOT EXISTS {} (\n  {}\n){tail}", table.name, lines.join(",\n  "));
        let mut statements = vec![create];
        if self.backend != DbBackend::MySql {
            statements.extend(table.indexes.iter().map(|index| self.create_index(table.name, index)));
        }
        statements
    }

    /// Leaves room beside each row of a small table, so that PostgreSQL updates it in its own page and touches no index.
    pub(crate) fn often_updated(&self, table: &str) -> Option<String> {
        (self.backend == DbBackend::Postgres).then(|| format!("ALTER TABLE {table} SET (fillfactor = 10)"))
    }

    fn define(&self, column: &Column) -> String {
        let null = if column.null { "NULL" } else { "NOT NULL" };
        format!("{} {} {null}", self.quote(column.name), self.type_name(&column.kind))
    }

    fn create_index(&self, table: &str, index: &Index) -> String {
        let unique = if index.unique { "UNIQUE " } else { "" };
        let columns = self.columns(index.columns);
        let only = index.only.map(|only| format!(" WHERE {only}")).unwrap_or_default();
        format!("CREATE {unique}INDEX IF NOT EXISTS {} ON {table} ({columns}){only}", index.name)
    }

    /// The statement that makes a view, harmless if repeated.
    pub(crate) fn create_view(&self, name: &str, select: &str) -> String {
        let create = match self.backend {
            DbBackend::Sqlite => "CREATE VIEW IF NOT EXISTS",
            _ => "CREATE OR REPLACE VIEW",
        };
        format!("{create} {name} AS {}", select.replace('"', self.quote_mark()))
    }

    fn quote_mark(&self) -> &'static str {
        if self.backend == DbBackend::MySql { "`" } else { "\"" }
    }

    fn quote(&self, name: &str) -> String {
        let mark = self.quote_mark();
        format!("{mark}{name}{mark}")
    }

    fn columns(&self, list: &str) -> String {
        let column = |column: &str| match column.split_once('(') {
            Some((name, length)) if self.backend == DbBackend::MySql => format!("{}({length}", self.quote(name)),
            Some((name, _)) => self.quote(name),
            None => self.quote(column),
        };
        list.split(", ").map(column).collect::<Vec<_>>().join(", ")
    }
}
