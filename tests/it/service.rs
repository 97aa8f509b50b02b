//! What a service manager learns about the daemon by `sd_notify(3)`: when it is ready, that it reloads, that it lives, that it
//! stops.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use lumo_simulator::World;
use serde_json::json;
use tempfile::TempDir;

use crate::database::Database;
use crate::world::{PATIENCE, Stage, eventually, seed};

/// The socket of a service manager, and everything that came through it, a line each.
struct Manager {
    socket: UnixDatagram,
    lines: Vec<String>,
    _directory: TempDir,
}

impl Manager {
    /// Whatever is started from now on is under it, with a watchdog that wants a sign of life every `watchdog`.
    fn over(stage: &mut Stage, watchdog: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        stage.variables.push(("NOTIFY_SOCKET", path));
        stage.variables.push(("WATCHDOG_USEC", watchdog.as_micros().to_string().into()));
        Self { socket, lines: Vec::new(), _directory: directory }
    }

    /// All that has come so far, but for the signs of life.
    fn heard(&mut self) -> Vec<&str> {
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            let text = std::str::from_utf8(&message[..length]).unwrap();
            self.lines.extend(text.lines().map(str::to_owned));
        }
        self.lines.iter().map(String::as_str).filter(|line| *line != "WATCHDOG=1").collect()
    }

    fn signs_of_life(&mut self) -> usize {
        self.lines.len() - self.heard().len()
    }

    /// Waits until this many lines have come, but for the signs of life, and forgets all.
    async fn next(&mut self, count: usize) -> Vec<String> {
        eventually!(PATIENCE, format!("{count} lines came, but {:?}", self.lines), self.heard().len() >= count);
        let heard = self.heard().into_iter().map(str::to_owned).collect();
        self.lines.clear();
        heard
    }
}

async fn stage() -> Stage {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_manager_hears_of_the_start_of_each_reload_and_of_the_end() {
    let mut stage = stage().await;
    let mut manager = Manager::over(&mut stage, Duration::from_secs(60));
    let file = stage.config_file();
    let mut bridge = stage.daemon_on(&file);
    assert_eq!(manager.next(1).await, ["READY=1"]);
    assert!(bridge.log().contains("admin HTTP is up"), "{}", bridge.log());
    assert!(stage.database.count("lumo_migrations", "1 = 1").await > 0, "the tables are not there");

    for status in
        ["configuration reloaded; it is in force", "configuration not reloaded; the one before stays in force"]
    {
        bridge.signal("HUP");
        let heard = manager.next(4).await;
        let since = heard[1].strip_prefix("MONOTONIC_USEC=").unwrap_or_else(|| panic!("{heard:?}"));
        assert!(since.parse::<u64>().unwrap() > 0);
        assert_eq!([&heard[0], &heard[2], &heard[3]], ["RELOADING=1", "READY=1", &format!("STATUS={status}")]);
        bridge.until_logged(status, PATIENCE).await;
        // What the second signal makes it read.
        fs::write(&file, "lumo: { rate: many }").unwrap();
    }
    assert_eq!(manager.heard().len(), 0);
    bridge.stop().await;
    assert_eq!(manager.next(1).await, ["STOPPING=1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watchdog_sees_that_it_lives_and_that_it_stands_still() {
    const LIMIT: Duration = Duration::from_millis(400);
    let mut stage = stage().await;
    let mut manager = Manager::over(&mut stage, LIMIT);
    let bridge = stage.daemon();
    eventually!(PATIENCE, "signs of life come", manager.signs_of_life() >= 5);
    assert_eq!(manager.next(1).await, ["READY=1"]);

    bridge.signal("STOP");
    manager.heard();
    manager.lines.clear();
    tokio::time::sleep(2 * LIMIT).await;
    assert!(manager.signs_of_life() <= 1, "one may have been on its way: {:?}", manager.lines);
    bridge.signal("CONT");
    eventually!(PATIENCE, "signs of life come again", manager.signs_of_life() >= 5);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_waits_for_a_service_manager_that_is_not_there() {
    let mut stage = stage().await;
    drop(Manager::over(&mut stage, Duration::from_secs(60)));
    let mut bridge = stage.daemon();
    bridge.until_logged("service manager not told", PATIENCE).await;
    stage.until_imported().await;
    bridge.stop().await;
}
