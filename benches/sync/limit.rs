//! How fast the database itself loads the rows that an import has stored, into the same tables with the same indexes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnection, PgPoolCopyExt};
use sqlx::{AssertSqlSafe, Connection, Executor, PgPool};

const TABLES: [&str; 2] = ["lumo_user_wallets", "lumo_user_deposits"];

/// Takes the rows out, empties the tables and loads them again. The name of the way, and how long it took.
pub(crate) async fn load(url: &str, folder: &Path) -> Result<(&'static str, Duration), String> {
    match url.strip_prefix("sqlite://") {
        Some(file) => import(file, folder).map(|took| (".import", took)),
        None if url.starts_with("postgres") => Ok(("COPY", copy(url).await)),
        None => Err("no limit is taken on this database".to_owned()),
    }
}

async fn copy(url: &str) -> Duration {
    let pool = PgPool::connect(url).await.unwrap();
    let mut took = Duration::ZERO;
    for table in TABLES {
        let text = pool.copy_out_raw(&format!("COPY {table} TO STDOUT")).await.unwrap();
        let text: Vec<_> = text.try_collect().await.unwrap();
        pool.execute(AssertSqlSafe(format!("TRUNCATE {table}"))).await.unwrap();
        let started = Instant::now();
        let mut copy = pool.copy_in_raw(&format!("COPY {table} FROM STDIN")).await.unwrap();
        for chunk in text.chunks(1_000) {
            copy.send(chunk.concat()).await.unwrap();
        }
        copy.finish().await.unwrap();
        took += started.elapsed();
    }
    pool.close().await;
    // What an autovacuum would do some time.
    PgConnection::connect(url).await.unwrap().execute("ANALYZE").await.unwrap();
    took
}

fn import(file: &str, folder: &Path) -> Result<Duration, String> {
    let mut took = Duration::ZERO;
    for table in TABLES {
        let rows = folder.join(format!("{table}.csv"));
        // Nulls are written as a word and put back afterwards, as the shell has no other way to read one.
        shell(
            file,
            &[
                ".mode csv",
                ".nullvalue NULL",
                &format!(".once '{}'", rows.display()),
                &format!("SELECT * FROM {table}"),
            ],
        )?;
        shell(file, &[&format!("DELETE FROM {table}")])?;
        let started = Instant::now();
        shell(file, &[".mode csv", &format!(".import '{}' {table}", rows.display())])?;
        took += started.elapsed();
        let columns = shell(file, &[&format!("SELECT name FROM pragma_table_info('{table}') WHERE \"notnull\" = 0")])?;
        for column in columns.lines() {
            shell(file, &[&format!("UPDATE {table} SET {column} = NULL WHERE {column} = 'NULL'")])?;
        }
    }
    Ok(took)
}

fn shell(file: &str, commands: &[&str]) -> Result<String, String> {
    let output = Command::new("sqlite3").arg(file).args(commands).output();
    let output = output.map_err(|_| "without `sqlite3` there is no limit to compare with".to_owned())?;
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && error.is_empty() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(error.into_owned())
    }
}
