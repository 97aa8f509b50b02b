//! A disk that is full for a while, and a file that is moved away or locked: nothing is lost, nothing is made up, and the
//! process says so.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lumo_simulator::World;
use serde_json::json;
use tempfile::TempDir;

use crate::admin::client::Client;
use crate::database::Database;
use crate::world::{Announced, PATIENCE, Stage, eventually, not_run, seed};

/// Longer than the disk is full in the test.
const A_WHILE: Duration = Duration::from_secs(6);

/// A file system of its own, in memory.
struct Disk(TempDir);

impl Disk {
    /// None where the test may not mount, which is said in the closing lines.
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=96m", "tmpfs"])
            .arg(directory.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if mounted {
            return Some(Self(directory));
        }
        not_run("a full disk: a small one cannot be mounted here, which takes root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        let mut ballast = File::create(self.path().join("ballast")).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![0; size];
            while ballast.write_all(&block).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} not unmounted", self.path().display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_for_a_while_loses_nothing_and_makes_nothing_up() {
    let Some(disk) = Disk::new() else { return };
    let world = World::live(seed());
    world.seed(20, 50);
    let mut stage = Stage::new(Database::sqlite_in(disk.path()).await, world.clone()).await;
    stage.announce_history();
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    eventually!(PATIENCE, "it is ready", client.get("/readyz").await.status == 200);

    disk.fill();
    let full = tokio::time::Instant::now();
    let before = stage.events().await.len();
    for user in 0..100 {
        world.add_deposit_for(&format!("later {user}"), "1.5").expect("a deposit");
    }
    eventually!(PATIENCE, "it says that it is not ready", {
        let answer = client.get("/readyz").await;
        let problem = answer.body["problem"].as_str().unwrap_or_default().to_owned();
        let is_said = problem.starts_with("Writing to the database has been failing for");
        answer.status == 503 && is_said && problem.ends_with("nothing is stored or sent meanwhile")
    });
    let said = client.get("/readyz").await.body.to_string();
    assert!(!said.contains("reading goes on"), "{said}");
    assert!(bridge.log().contains("the database cannot be written to"), "{}", bridge.log());
    let checked = stage.command(&["check"]).await;
    let words = format!("fail database: cannot write: the disk of {}/", disk.path().display());
    let is_said = checked.stdout.lines().any(|line| line.starts_with(&words) && line.contains(" is full: "));
    assert!(checked.status.code() == Some(1) && is_said, "{checked:?}");
    let address = client.base.replace("http://", "");
    stage.settings.set("server.listen", json!(address));
    let status = stage.command(&["status"]).await;
    let said = status.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = format!("The daemon on {address} says: Writing to the database has been failing for ");
    assert!(said.starts_with(&words), "{status:?}");
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    tokio::time::sleep_until(full + A_WHILE).await;
    assert_eq!(stage.events().await.len(), before, "what is not stored is not seen by others");
    disk.free();

    stage.until_mirrored().await;
    stage.until_delivered().await;
    eventually!(PATIENCE, "it is ready again", client.get("/readyz").await.status == 200);
    bridge.until_logged("the database can be written to again", PATIENCE).await;
    stage.database.execute("CREATE TABLE another_writer (id integer)").await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    let received = stage.receiver.count();
    bridge.kill();

    let bridge = stage.daemon();
    stage.until_read_again().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(stage.receiver.count(), received, "a restart sends nothing again");
    bridge.stop().await;
}

/// What is written to a file without a name nobody sees, and it is gone with the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_moved_away_is_not_written_to_until_it_is_back() {
    let world = World::live(seed());
    world.seed(20, 50);
    let mut stage = Stage::new(Database::sqlite().await, world.clone()).await;
    stage.announce_history();
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    eventually!(PATIENCE, "it is ready", client.get("/readyz").await.status == 200);

    let path = stage.database.url().trim_start_matches("sqlite://").to_owned();
    let aside = format!("{path}.aside");
    fs::rename(&path, &aside).unwrap();
    let sent = stage.receiver.count();
    for user in 0..20 {
        world.add_deposit_for(&format!("later {user}"), "1.5").expect("a deposit");
    }
    let gone = format!("the SQLite file {path} was removed or replaced while it was open");
    eventually!(PATIENCE, "it says that it is not ready, and why", {
        let answer = client.get("/readyz").await;
        let problem = answer.body["problem"].as_str().unwrap_or_default().to_owned();
        answer.status == 503 && problem.contains(&gone)
    });
    assert!(client.text("/metrics").await.contains("lumo_bridge_ready 0\n"));
    assert!(bridge.log().contains("the database cannot be written to"), "{}", bridge.log());
    bridge.until_logged("page not stored", PATIENCE).await;
    assert_eq!(stage.receiver.count(), sent, "what is not stored is not sent");

    fs::rename(&aside, &path).unwrap();
    stage.until_mirrored().await;
    stage.until_delivered().await;
    eventually!(PATIENCE, "it is ready again", client.get("/readyz").await.status == 200);
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_another_program_keeps_locked_is_said_to_be_so() {
    let world = World::live(seed());
    let mut stage = Stage::new(Database::sqlite().await, world.clone()).await;
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    stage.until_imported().await;
    stage.database.execute("CREATE TABLE bookings (id integer)").await;
    let held = stage.database.hold("INSERT INTO bookings VALUES (1)").await;
    world.add_deposit_for("later", "1.5").expect("a deposit");
    eventually!(PATIENCE, "it says so", {
        let said = client.get("/readyz").await.body.to_string();
        said.contains("the SQLite file was not free to be written within 10 s")
            && said.contains("another program that has the file open keeps a transaction open")
    });
    held.commit().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    eventually!(PATIENCE, "it is ready again", client.get("/readyz").await.status == 200);
    assert!(bridge.log().contains("the database cannot be written to"), "{}", bridge.log());
    bridge.stop().await;
}
