//! Servers of one test's own: a MariaDB that is set up in an odd way, a PgBouncer in front of the PostgreSQL of all
//! tests, two of PostgreSQL.
//!
//! `tests/run` installs the programs, and names those of the databases in the environment; a test that finds none says
//! so in the closing lines.

mod postgres;

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use url::Url;

use super::{PATIENCE, not_run};

pub(crate) use postgres::postgres_pair;

/// How often a server is started on another port, where somebody else has taken the one it was to have.
const STARTS: u32 = 5;

/// What the kernel does faster it may refuse, as its memory for that is limited and many servers start at once.
const SLOW_AIO: &str = "--innodb-use-native-aio=0";

/// A running server; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Server {
    /// Starts a server on a free port, and waits until it accepts connections.
    async fn start(directory: TempDir, command: impl Fn(u16, &Path) -> Command) -> Self {
        let log = directory.path().join("log");
        for _ in 0..STARTS {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let to = |file: File| Stdio::from(file);
            let output = File::create(&log).unwrap();
            let mut command = command(port, directory.path());
            command.stdin(Stdio::null()).stdout(to(output.try_clone().unwrap())).stderr(to(output));
            let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            let deadline = Instant::now() + PATIENCE;
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                    return Self { child, port, directory };
                }
                assert!(Instant::now() < deadline, "not up within {PATIENCE:?}:\n{}", read(&log));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        panic!("the server does not start:\n{}", read(&log));
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = read(&self.directory.path().join("log"));
            let lines: Vec<&str> = log.lines().collect();
            println!("the end of the server's log:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A program from the environment, the path, or where servers are kept off it.
fn program(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = ["/usr/sbin", "/usr/libexec", "/usr/local/sbin"].map(PathBuf::from);
    let folders: Vec<_> = std::env::split_paths(&path).chain(folders).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("`id` not found");
    id.stdout.trim_ascii() == b"0"
}

/// A MariaDB with these options, in which `root` may do everything and has no password; none where it is not installed.
pub(crate) async fn mariadb(options: &[&str]) -> Option<Server> {
    let server = program("LUMO_TEST_MARIADBD", &["mariadbd", "mysqld"]);
    let install = program("LUMO_TEST_MARIADB_INSTALL", &["mariadb-install-db", "mysql_install_db"]);
    let Some((server, install)) = server.zip(install) else {
        not_run("odd settings of MariaDB, and its switchover: mariadbd and mariadb-install-db are not installed");
        return None;
    };
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let first = directory.path().join("first.sql");
    // A server that starts removes the temporary tables of others that share the directory.
    let temporary = directory.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let user = "CREATE OR REPLACE USER root@'127.0.0.1'; GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;";
    fs::write(&first, format!("SET SESSION sql_log_bin = 0;\n{}\n", user.replace("; ", ";\n"))).unwrap();
    let as_root: &[&str] = if is_root() { &["--user=root"] } else { &[] };
    let installed = Command::new(install)
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", SLOW_AIO])
        .args(as_root)
        .arg(format!("--datadir={}", data.display()))
        .env("TMPDIR", &temporary)
        .output()
        .expect("mariadb-install-db not run");
    let log = || String::from_utf8_lossy(&installed.stderr).into_owned();
    assert!(installed.status.success(), "{installed:?}:\n{}", log());
    let start = Server::start(directory, |port, directory| {
        let place = |option: &str, name: &str| format!("--{option}={}", directory.join(name).display());
        let mut command = Command::new(&server);
        command.env("TMPDIR", &temporary).arg("--no-defaults").args(as_root).args([
            place("datadir", "data"),
            place("socket", "sock"),
            place("pid-file", "pid"),
            place("init-file", "first.sql"),
            format!("--port={port}"),
        ]);
        command.args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
            SLOW_AIO,
        ]);
        command.args(["--innodb-buffer-pool-size=32M", "--loose-innodb-doublewrite=0"]).args(options);
        command
    });
    Some(start.await)
}

/// How a PgBouncer lends the connections to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolMode {
    Session,
    Transaction,
}

/// A PgBouncer in front of the server of a database, and the url that leads through it; none where it is not installed.
pub(crate) async fn pgbouncer(url: &str, mode: PoolMode, settings: &str) -> Option<(Server, String)> {
    let Some(program) = program("LUMO_TEST_PGBOUNCER", &["pgbouncer"]) else {
        not_run("a pooler in front of PostgreSQL: pgbouncer is not installed");
        return None;
    };
    let mut url = Url::parse(url).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let user = is_root().then(unprivileged);
    if let Some((user, group)) = user {
        chown(directory.path(), Some(user), Some(group)).unwrap();
    }
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let mode = format!("{mode:?}").to_lowercase();
    let target = format!(
        "* = host={} port={} user={} password={}",
        url.host_str().unwrap(),
        url.port().unwrap(),
        url.username(),
        url.password().unwrap()
    );
    let server = Server::start(directory, |port, directory| {
        let file = directory.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n{target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\n{settings}\n"
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new(&program);
        command.arg(file);
        if let Some((user, group)) = user {
            // It refuses to run as root.
            command.uid(user).gid(group);
        }
        command
    });
    let server = server.await;
    url.set_port(Some(server.port)).unwrap();
    Some((server, url.into()))
}

/// The setting of a PgBouncer that carries no prepared statements: before 1.21 none can.
pub(crate) fn without_prepared_statements() -> &'static str {
    let Some(program) = program("LUMO_TEST_PGBOUNCER", &["pgbouncer"]) else { return "" };
    let version = Command::new(program).arg("--version").output().expect("pgbouncer not run").stdout;
    let version = String::from_utf8_lossy(&version);
    let minor = version.split_whitespace().nth(1).and_then(|version| version.split('.').nth(1)?.parse::<u32>().ok());
    if minor.is_some_and(|minor| minor >= 21) { "max_prepared_statements = 0" } else { "" }
}

/// A user that is not root, and its group.
fn unprivileged() -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = ["postgres:", "nobody:"].into_iter().find_map(|name| passwd.lines().find(|line| line.starts_with(name)));
    let fields: Vec<&str> = line.expect("no user to run a pooler as").split(':').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}
