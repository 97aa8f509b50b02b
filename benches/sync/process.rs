//! The simulator as a process of its own, and what the system tells of this one.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Bench;

/// A running simulator; dropping it ends it.
pub(crate) struct Simulator {
    child: Child,
    port: u16,
}

impl Simulator {
    pub(crate) async fn start(bench: &Bench, latency: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_lumo-bridge"))
            .args(["simulate", "--listen", &format!("127.0.0.1:{port}"), "--latency", latency])
            .args(["--wallets", &bench.wallets.to_string(), "--deposits", &bench.deposits.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { child, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The CPU time of this process so far, in all its threads.
pub(crate) fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // User and system time, in hundredths of a second.
    let ticks: u64 = [11, 12].map(|place: usize| fields[place].parse::<u64>().unwrap()).iter().sum();
    Duration::from_millis(ticks * 10)
}

fn status(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// MiB in memory.
pub(crate) fn resident() -> f64 {
    status("VmRSS:")
}

/// The most MiB that there were in memory.
pub(crate) fn resident_peak() -> f64 {
    status("VmHWM:")
}
