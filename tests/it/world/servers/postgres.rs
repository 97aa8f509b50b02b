//! A PostgreSQL, another one that follows it, and the switchover between the two.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;

use super::{Server, is_root, program, unprivileged};
use crate::world::{PATIENCE, not_run};

/// The primary of the beginning, and the one that follows it.
pub(crate) struct Pair {
    programs: Programs,
    old: Server,
    new: Server,
}

/// The programs of one PostgreSQL, and whom they run as.
struct Programs {
    folder: PathBuf,
    /// They refuse to run as root.
    user: Option<(u32, u32)>,
}

impl Programs {
    /// None where they are not installed, which is said in the closing lines.
    fn find() -> Option<Self> {
        let server = program("LUMO_TEST_POSTGRES", &["postgres"]).and_then(|path| path.canonicalize().ok());
        let folder = server.and_then(|path| path.parent().map(Path::to_owned));
        let has_all = |folder: &PathBuf| ["initdb", "pg_basebackup"].iter().all(|name| folder.join(name).is_file());
        let Some(folder) = folder.filter(has_all) else {
            not_run("a switchover of PostgreSQL: postgres, initdb and pg_basebackup are not installed");
            return None;
        };
        Some(Self { folder, user: is_root().then(unprivileged) })
    }

    fn command(&self, name: &str, directory: &Path) -> Command {
        let mut command = Command::new(self.folder.join(name));
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command.current_dir(directory);
        command
    }

    /// The server whose files are in a directory.
    fn server(&self, directory: &Path, port: u16, settings: &[&str]) -> Command {
        let mut command = self.command("postgres", directory);
        let place = directory.display().to_string();
        command.args(["-D", &format!("{place}/data"), "-p", &port.to_string(), "-k", &place]);
        for setting in ["listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=16MB"].iter().chain(settings) {
            command.arg("-c").arg(setting);
        }
        command
    }

    /// A directory that the programs may use.
    fn directory(&self) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        self.give(directory.path());
        directory
    }

    fn give(&self, path: &Path) {
        if let Some((user, group)) = self.user {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    /// Makes the files of a server.
    fn make(&self, name: &str, arguments: &[&str], directory: &Path) {
        let made = self.command(name, directory).args(["-D", "data", "--no-sync"]).args(arguments).output();
        let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(made.status.success(), "{name}: {}", String::from_utf8_lossy(&made.stderr));
    }
}

/// A connection, once the server lets one in.
async fn connect(server: SocketAddr) -> DatabaseConnection {
    let url = format!("postgres://postgres@{server}/postgres");
    let deadline = Instant::now() + PATIENCE;
    loop {
        match sea_orm::Database::connect(url.as_str()).await {
            Ok(connection) => return connection,
            Err(error) => assert!(Instant::now() < deadline, "nobody is let in: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// None where PostgreSQL is not installed.
pub(crate) async fn postgres_pair() -> Option<Pair> {
    let programs = Programs::find()?;
    let directory = programs.directory();
    programs.make("initdb", &["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"], directory.path());
    let old = Server::start(directory, |port, directory| programs.server(directory, port, &[])).await;
    drop(connect(old.addr()).await);
    let directory = programs.directory();
    let port = old.addr().port().to_string();
    let from = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-R", "-c", "fast", "-X", "stream"];
    programs.make("pg_basebackup", &from, directory.path());
    let new = Server::start(directory, |port, directory| programs.server(directory, port, &[])).await;
    drop(connect(new.addr()).await);
    Some(Pair { programs, old, new })
}

impl Pair {
    pub(crate) fn old_addr(&self) -> SocketAddr {
        self.old.addr()
    }

    pub(crate) fn new_addr(&self) -> SocketAddr {
        self.new.addr()
    }

    /// The old primary ends and the other server is promoted. The old one comes back as its follower, which answers and
    /// takes no writes.
    pub(crate) async fn switch_over(&mut self) {
        let ended = Command::new("kill").arg("-INT").arg(self.old.child.id().to_string()).status();
        assert!(ended.expect("`kill` not found").success());
        // It sends the last of the log to the other one before that.
        self.old.child.wait().unwrap();
        let promoted = connect(self.new_addr()).await.execute_unprepared("SELECT pg_promote(true, 60)").await;
        promoted.expect("not promoted");

        let directory = self.old.directory.path();
        let signal = directory.join("data/standby.signal");
        fs::write(&signal, "").unwrap();
        self.programs.give(&signal);
        let primary = format!("primary_conninfo=host=127.0.0.1 port={} user=postgres", self.new.port);
        let log = File::options().append(true).open(directory.join("log")).unwrap();
        let mut command = self.programs.server(directory, self.old.port, &[&primary]);
        command.stdin(Stdio::null()).stdout(Stdio::from(log.try_clone().unwrap())).stderr(Stdio::from(log));
        self.old.child = command.spawn().expect("the old primary does not start");
        drop(connect(self.old_addr()).await);
    }
}
