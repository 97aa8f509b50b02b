//! The transactions that MariaDB has under way, as its monitor tells them: `information_schema.innodb_trx` shows what it showed
//! before as long as anybody at all asks for it more than ten times a second.

use crate::database::Database;

/// A transaction under way.
pub(super) struct UnderWay {
    thread: i64,
    /// Whether it waits for a lock.
    pub(super) waits: bool,
}

/// Those of the sessions of this database.
pub(super) async fn under_way(database: &Database) -> Vec<UnderWay> {
    let told = database.rows("SHOW ENGINE INNODB STATUS").await;
    let mut all = parse(told[0][2].as_deref().expect("the monitor tells nothing"));
    let own = database.rows("SELECT id FROM information_schema.processlist WHERE db = DATABASE()").await;
    let own: Vec<i64> = own.iter().map(|row| row[0].as_deref().unwrap().parse().unwrap()).collect();
    all.retain(|one| own.contains(&one.thread));
    all
}

/// Each begins with a line of its own, and has one about its session.
fn parse(monitor: &str) -> Vec<UnderWay> {
    let active = monitor.split("---TRANSACTION ").skip(1).filter(|one| is_active(one));
    let one = |text: &str| {
        let (_, session) = text.split_once("thread id ")?;
        let thread = session.split(',').next()?.parse().ok()?;
        Some(UnderWay { thread, waits: text.contains("\nLOCK WAIT ") })
    };
    active.filter_map(one).collect()
}

fn is_active(transaction: &str) -> bool {
    transaction.lines().next().is_some_and(|line| line.contains(", ACTIVE"))
}

#[test]
fn what_the_monitor_tells_is_understood() {
    let told = "LIST OF TRANSACTIONS FOR EACH SESSION:\n\
        ---TRANSACTION (0x7f855d91c080), not started\n0 lock struct(s), heap size 1128, 0 row lock(s)\n\
        ---TRANSACTION 403894, ACTIVE 1 sec starting index read\nmysql tables in use 1, locked 1\n\
        LOCK WAIT 3 lock struct(s), heap size 1128, 2 row lock(s)\n\
        MariaDB thread id 182400, OS thread handle 140210752939712, query id 2723588 127.0.0.1 root\n\
        ---TRANSACTION 403893, ACTIVE 0 sec\n4 lock struct(s), heap size 1128, 2 row lock(s), undo log entries 1\n\
        MariaDB thread id 182399, OS thread handle 140210752939712, query id 2723588 127.0.0.1 root\n";
    let found: Vec<_> = parse(told).into_iter().map(|one| (one.thread, one.waits)).collect();
    assert_eq!(found, [(182_400, true), (182_399, false)]);
}
