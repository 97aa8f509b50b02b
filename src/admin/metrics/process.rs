//! What every process shows of itself, under the names that Prometheus's own libraries use, as the kernel tells it in `/proc`.
//! Where there is no such folder nothing of it is shown.

use std::fs;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The kernel's `USER_HZ`: 100 on every machine that the bridge is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// What `/proc/self/stat` says.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// After the machine was started.
    started_seconds: f64,
    virtual_bytes: u64,
}

pub(super) fn register(registry: &mut Registry) {
    let read = |file: &str| fs::read_to_string(file).ok();
    if let Some(stat) = read("/proc/self/stat").as_deref().and_then(stat) {
        registry.register(
            "process_cpu_seconds",
            "Total user and system CPU time spent in seconds",
            ConstCounter::new(stat.cpu_seconds),
        );
        registry.register(
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes",
            ConstGauge::new(stat.virtual_bytes),
        );
        if let Some(booted) = read("/proc/stat").as_deref().and_then(booted_at) {
            registry.register(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds",
                ConstGauge::new(booted + stat.started_seconds),
            );
        }
    }
    if let Some(bytes) = read("/proc/self/status").as_deref().and_then(resident_bytes) {
        registry.register("process_resident_memory_bytes", "Resident memory size in bytes", ConstGauge::new(bytes));
    }
    if let Some(open) = open_files() {
        registry.register("process_open_fds", "Number of open file descriptors", ConstGauge::new(open));
    }
    if let Some(most) = read("/proc/self/limits").as_deref().and_then(most_files) {
        registry.register("process_max_fds", "Maximum number of open file descriptors", ConstGauge::new(most));
    }
}

/// The name of the program, in brackets, may hold anything; what follows it are numbers.
fn stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    // The first of the rest is the third field of the manual.
    let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3)?.parse::<u64>().ok();
    let seconds = |ticks: u64| ticks as f64 / TICKS_PER_SECOND;
    Some(Stat {
        cpu_seconds: seconds(field(14)?.saturating_add(field(15)?)),
        started_seconds: seconds(field(22)?),
        virtual_bytes: field(23)?,
    })
}

/// When the machine was started, in seconds since 1970.
fn booted_at(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn resident_bytes(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The one through which they are counted is none of them.
fn open_files() -> Option<u64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(count).ok()?.checked_sub(1)
}

/// The soft limit; none if there is none.
fn most_files(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers_are_found() {
        let line = "4242 (lumo) bridge)) S 1 4242 4242 0 -1 4194560 12345 0 8 0 1234 66 0 0 20 0 9 0 8001250 \
                    1288490188 9000 18446744073709551615";
        let expected = Stat { cpu_seconds: 13.0, started_seconds: 80_012.5, virtual_bytes: 1_288_490_188 };
        assert_eq!(stat(line), Some(expected));
        assert_eq!(stat("4242 (lumo"), None);
        assert_eq!(booted_at("cpu  1 2 3\nctxt 9\nbtime 1777889000\nprocesses 7\n"), Some(1_777_889_000.0));
        assert_eq!(resident_bytes("VmPeak:\t  900 kB\nVmRSS:\t   2048 kB\n"), Some(2 * 1024 * 1024));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(most_files(limits), Some(1024));
        assert_eq!(most_files("Max open files            unlimited            unlimited            files\n"), None);
    }
}
