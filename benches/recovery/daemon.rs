//! `lumo-bridge run` as a process of its own.

use std::process::{Child, Command, Stdio};

use super::scene::Scene;

/// A running bridge; dropping it kills it.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts it with the default rate.
    pub(crate) fn start(scene: &Scene) -> Self {
        drop(scene.config("20/s"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_lumo-bridge"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LUMO_")) {
            command.env_remove(name);
        }
        command.arg("--config").arg(scene.folder.path().join("bench.yaml")).args(["-q", "run"]);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// MiB that it had in memory at most.
    pub(crate) fn resident_peak(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
