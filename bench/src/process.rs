//! What the operating system knows of a process.

use std::fs;
use std::time::Duration;

/// Clock ticks per second in `/proc`: fixed by Linux for user space.
const TICKS: u64 = 100;

/// User plus system time of a process and the children it has waited for.
pub(crate) fn cpu(pid: u32) -> Result<Duration, String> {
    // schedstat counts nanoseconds per thread; stat counts in hundredths of a second.
    let threads =
        fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| format!("process {pid}: {error}"))?;
    let mut nanos = 0;
    let mut exact = true;
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("schedstat")) {
            Ok(text) => nanos += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0),
            Err(_) => exact = false,
        }
    }
    if exact && nanos > 0 {
        return Ok(Duration::from_nanos(nanos));
    }
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| error.to_string())?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    Ok(Duration::from_millis((field(11) + field(12)) * 1000 / TICKS))
}

/// Processes started by this one, itself not included.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Resident memory in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64, String> {
    status_kib(pid, "VmRSS:")
}

/// The most memory that was ever resident, in KiB.
pub(crate) fn peak_kib(pid: u32) -> Result<u64, String> {
    status_kib(pid, "VmHWM:")
}

fn status_kib(pid: u32, name: &str) -> Result<u64, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| error.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| format!("process {pid}: no {name}"))
}
