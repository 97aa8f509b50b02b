//! Checks whether a daemon can work with the database: runs every kind of statement that it needs, and rolls all back.
//!
//! Without this check, a missing right, an encoding that lacks characters, or a binary log that refuses the isolation
//! level would show only with the first row that needs it, and stop a listing for good.

use chrono::{DateTime, Utc};
use lumo_bridge_entity as entity;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, IdenStatic as _, Iterable as _};
use serde_json::json;

use crate::model::draft::rfc3339;
use crate::model::fingerprint::fingerprint;
use crate::model::id::IdError;
use crate::model::record::Wallet;
use crate::store::db::error::database_error;
use crate::store::{Batch, Ending, Error, Store, Tx};

/// Characters of two, three and four bytes.
pub(in crate::store) const CHARACTERS: &str = "é€😀";
/// The id of the test wallet, which is never stored.
const NAME: &str = "lumo-bridge-check";

impl Store {
    /// Runs every kind of statement on every table, and stores a wallet with characters of every length and its event.
    /// All of it is rolled back, and no endpoint receives the event.
    ///
    /// # Errors
    /// [`Error::Unfit`] if the database is set up so that a daemon cannot work with it, or whatever else fails.
    pub async fn try_everything(&self, now: DateTime<Utc>) -> Result<(), Error> {
        let statements = self.tx_ending("fitness", Ending::RollBack, |tx| async move { tx.try_statements().await });
        statements.await.map_err(unfit)?;
        let wallet = wallet(now).map_err(|error| Error::Corrupt {
            table: "lumo_user_wallets",
            id: NAME.to_owned(),
            source: error.into(),
        })?;
        let batch = Batch::of_answer(wallet, now, Ending::RollBack);
        self.with_subscribers(Vec::new()).ingest(batch, now).await.map_err(unfit)?;
        Ok(())
    }
}

impl Tx {
    /// Runs every kind of statement on every table, affecting no row, in one round trip.
    async fn try_statements(&self) -> Result<(), Error> {
        let (quote, locks) = match self.backend() {
            DbBackend::Sqlite => ('"', &[""][..]),
            DbBackend::MySql => ('`', &["LOCK IN SHARE MODE", "FOR UPDATE"][..]),
            _ => ('"', &["FOR SHARE", "FOR UPDATE"][..]),
        };
        let mut statements = Vec::new();
        for (table, columns) in tables_and_columns() {
            let quoted: Vec<_> = columns.iter().map(|column| format!("{quote}{column}{quote}")).collect();
            let all = quoted.join(", ");
            let same: Vec<_> = quoted.iter().map(|column| format!("{column} = {column}")).collect();
            statements.extend(locks.iter().map(|lock| format!("SELECT {all} FROM {table} WHERE 1 = 0 {lock}")));
            statements.extend([
                format!("INSERT INTO {table} ({all}) SELECT {all} FROM {table} WHERE 1 = 0"),
                format!("UPDATE {table} SET {} WHERE 1 = 0", same.join(", ")),
                format!("DELETE FROM {table} WHERE 1 = 0"),
            ]);
        }
        self.session().execute_unprepared(&statements.join("; ")).await?;
        Ok(())
    }
}

/// The tables of the bridge with their columns. Columns that others have added are ignored.
fn tables_and_columns() -> Vec<(&'static str, Vec<&'static str>)> {
    fn of<E: EntityTrait>() -> (&'static str, Vec<&'static str>) {
        (E::default().table_name(), E::Column::iter().map(|column| column.as_str()).collect())
    }
    macro_rules! all {
        ($($table:ident)+) => { vec![$(of::<entity::$table::Entity>()),+] };
    }
    all! {
        account ack attempt blocks deposit deposit_status endpoint event exception lease meta operator_action position process progress
        reject run seen stream subscription sweep wallet watch
    }
}

/// The test wallet.
fn wallet(now: DateTime<Utc>) -> Result<Wallet, IdError> {
    let user = format!("{NAME} {CHARACTERS}");
    let raw = json!({ "id": NAME, "externalId": user, "createdAt": rfc3339(now) }).to_string();
    Ok(Wallet {
        id: NAME.parse()?,
        company_id: NAME.parse()?,
        external_id: user.parse()?,
        address: Some(CHARACTERS.to_owned()),
        is_blocked: false,
        block_reason: Some(CHARACTERS.to_owned()),
        last_usdt_balance: None,
        last_trx_balance: None,
        created_at: now,
        fingerprint: fingerprint(&raw),
        raw: raw.into(),
    })
}

/// Names the remedy if one of these statements was refused.
pub(in crate::store) fn unfit(error: Error) -> Error {
    let Error::Statement(refusal) = &error else { return error };
    let Some(database) = database_error(refusal) else { return error };
    let number = database.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(|error| error.number());
    let (problem, remedy) = match (number, database.code().as_deref()) {
        // PostgreSQL: a character that the database's encoding does not have.
        (None, Some("22P05")) => (
            "the encoding of the database lacks characters that names have, emoji among them".to_owned(),
            "make a database with `ENCODING 'UTF8' TEMPLATE template0` and name it in `database.url`",
        ),
        // A missing right, in PostgreSQL and in MySQL.
        (None, Some("42501")) | (Some(1142 | 1143), _) => (
            format!("the database's user may not do all that a daemon does: {}", database.message()),
            "grant it SELECT, INSERT, UPDATE and DELETE on every lumo_ table",
        ),
        _ => return error,
    };
    Error::Unfit { problem, remedy }
}
