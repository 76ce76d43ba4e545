//! What a process has used so far, as Linux counts it.

use std::fs;

/// CPU time of all threads that live, in nanoseconds. Finer than `/proc/PID/stat`, which counts ticks of 10 ms.
pub(crate) fn cpu_nanoseconds(process: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of_task = |task: std::io::Result<fs::DirEntry>| -> Option<u64> {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(of_task).sum()
}

/// Resident memory, in KB of 1,024 bytes.
pub(crate) fn resident_kb(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    number.and_then(|text| text.parse().ok()).unwrap()
}

/// The name of the machine's CPU, how many it has, and its kernel.
pub(crate) fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus.lines().find(|line| line.starts_with("model name"));
    let name = name.and_then(|line| line.split(": ").nth(1));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{}, {count} CPUs, Linux {}",
        name.unwrap_or("unknown CPU"),
        kernel.trim()
    )
}
