//! How figures are taken and shown.

use std::time::Duration;

/// Prints what a series of measurements comes to, each in `unit`.
#[expect(clippy::print_stdout, reason = "a bench has to show its figures")]
pub(crate) fn show(what: &str, unit: &str, mut figures: Vec<f64>) {
    let first = figures[0];
    let median = median(&figures);
    figures.sort_by(f64::total_cmp);
    let (least, most) = (figures[0], figures[figures.len() - 1]);
    println!(
        "{what:48} median {median:9.3} {unit}  least {least:9.3}  most {most:9.3}  first {first:9.3}"
    );
}

/// The one in the middle, of at least one.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// In milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The memory of a process in MB, by what Linux tells of it: `VmRSS` is what it holds, `VmHWM` the
/// most that it held.
pub(crate) fn memory(pid: u32, of: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut lines = status.lines().filter_map(|line| line.strip_prefix(of));
    let kilobytes = lines.find_map(|line| line.strip_prefix(':'));
    let kilobytes = kilobytes.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    kilobytes.map_or(f64::NAN, |kilobytes: f64| kilobytes / 1024.0)
}
