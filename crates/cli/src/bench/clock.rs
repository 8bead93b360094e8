//! Time that this thread spent computing. Other programs, and the other threads of this one, do not count; a machine that is
//! shared gives the same figures as a quiet one, as far as caches and memory allow.

use std::time::Instant;

/// A running stopwatch.
pub(crate) struct Stopwatch {
    begin: Instant,
    /// Nanoseconds on the processor, where the system tells them.
    spent: Option<u64>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { begin: Instant::now(), spent: on_processor() }
    }

    /// Seconds since the start.
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of minutes")]
    pub(crate) fn seconds(&self) -> f64 {
        match (self.spent, on_processor()) {
            (Some(before), Some(now)) if now > before => (now - before) as f64 / 1e9,
            _ => self.begin.elapsed().as_secs_f64(),
        }
    }
}

/// Linux: the first number is time spent on the processor (`Documentation/scheduler/sched-stats.rst`).
fn on_processor() -> Option<u64> {
    // The account is brought up to date when the scheduler runs, else only some hundred times a second.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_does_not_count_but_computing_does() {
        let watch = Stopwatch::start();
        let mut sum = 0u64;
        while watch.begin.elapsed().as_millis() < 60 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(watch.seconds() > 0.0 && watch.seconds() < 10.0);
    }
}
