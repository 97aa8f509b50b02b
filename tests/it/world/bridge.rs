//! The real program in a process of its own, with real signals.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running process; dropping it kills it, and prints the end of its log if the test is failing.
pub(crate) struct Bridge {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bridge {
    pub(super) fn start(
        directory: &Path,
        config: &Path,
        arguments: &[&str],
        variables: &[(&'static str, PathBuf)],
    ) -> Self {
        let name = format!("{:08x}", rand::random::<u32>());
        let (stdout, stderr) = (directory.join(format!("{name}.out")), directory.join(format!("{name}.err")));
        let to = |path: &Path| Stdio::from(File::create(path).expect("log not created"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_lumo-bridge"));
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("LUMO_") {
                command.env_remove(variable);
            }
        }
        command.arg("--config").arg(config).args(arguments).current_dir(directory);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(to(&stdout)).stderr(to(&stderr));
        Self { child: command.spawn().expect("lumo-bridge not started"), stdout, stderr }
    }

    /// What it has written to standard error so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.stderr).expect("log not read")
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.stdout).expect("output not read")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("process not waited for").is_none()
    }

    /// The processor time that it has used so far, in hundredths of a second; none where the system does not tell.
    pub(crate) fn processor_time(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    }

    /// The most memory it has had so far, in bytes; none where the system does not tell.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// Waits until the log contains this.
    pub(crate) async fn until_logged(&mut self, text: &str, within: Duration) {
        let deadline = Instant::now() + within;
        while !self.log().contains(text) {
            assert!(self.is_running(), "ended before it logged {text:?}");
            assert!(Instant::now() < deadline, "{text:?} not logged within {within:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a signal: `TERM`, `INT`, `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("`kill` not found").success(), "SIG{name} not sent");
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("process not killed");
        self.child.wait().expect("process not waited for");
    }

    /// Waits for the end.
    pub(crate) async fn finished(mut self, within: Duration) -> Finished {
        let deadline = Instant::now() + within;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("process not waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "still running after {within:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let stdout = std::fs::read_to_string(&self.stdout).expect("output not read");
        Finished { status, stdout, stderr: self.log() }
    }

    /// SIGTERM, and the wait for a clean end.
    pub(crate) async fn stop(self) {
        self.signal("TERM");
        let finished = self.finished(Duration::from_secs(30)).await;
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if self.is_running() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.stderr).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            println!("the end of the log:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}
