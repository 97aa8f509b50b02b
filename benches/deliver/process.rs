//! What the system tells of other processes: their CPU time, and their memory.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};

/// The CPU time of a process and of all that it started, the ended ones as well.
pub(crate) fn cpu_time(of: u32) -> Duration {
    let mut parents: HashMap<u32, (u32, u64)> = HashMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = [11, 12, 13, 14].map(|place: usize| fields[place].parse::<u64>().unwrap()).iter().sum();
        parents.insert(id, (fields[1].parse().unwrap(), ticks));
    }
    let belongs = |mut id: u32| loop {
        match parents.get(&id) {
            _ if id == of => return true,
            Some((parent, _)) => id = *parent,
            None => return false,
        }
    };
    // In hundredths of a second.
    let ticks: u64 = parents.iter().filter(|(id, _)| belongs(**id)).map(|(_, (_, ticks))| ticks).sum();
    Duration::from_millis(ticks * 10)
}

/// MiB of a process in memory, now and at most so far.
pub(crate) fn resident(of: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{of}/status")).unwrap();
    let value = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    (value("VmRSS:"), value("VmHWM:"))
}

/// How many bytes the server has written ahead so far, where it counts them.
pub(crate) async fn written_ahead(url: &str) -> Option<i64> {
    let connection = Database::connect(url).await.unwrap();
    let backend = connection.get_database_backend();
    let sql = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint";
    let bytes = match backend {
        DbBackend::Postgres => {
            let row = connection.query_one_raw(Statement::from_string(backend, sql)).await.unwrap();
            Some(row.unwrap().try_get_by_index(0).unwrap())
        }
        _ => None,
    };
    connection.close().await.unwrap();
    bytes
}

/// The process of a database server, if it is on this machine; none for a file.
pub(crate) async fn server(url: &str) -> Option<u32> {
    let connection = Database::connect(url).await.unwrap();
    let backend = connection.get_database_backend();
    let id = match backend {
        DbBackend::Postgres => {
            let row =
                connection.query_one_raw(Statement::from_string(backend, "SELECT pg_backend_pid()")).await.unwrap();
            let own: i32 = row.unwrap().try_get_by_index(0).unwrap();
            let stat = std::fs::read_to_string(format!("/proc/{own}/stat")).ok()?;
            stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
        }
        DbBackend::MySql => {
            let row = connection.query_one_raw(Statement::from_string(backend, "SELECT @@pid_file")).await.unwrap();
            let file: String = row.unwrap().try_get_by_index(0).unwrap();
            std::fs::read_to_string(file).ok()?.trim().parse().ok()
        }
        _ => None,
    };
    connection.close().await.unwrap();
    id
}
