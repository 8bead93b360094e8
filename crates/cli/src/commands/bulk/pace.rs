//! How fast a bulk run sends: as fast as it can until a node says "too many requests", then at the rate that the nodes allow.
//!
//! All rows share one pace, because all three nodes count the requests of one address together: a row that reaches only two of
//! three is work for nothing. The interval between rows grows by half when a node complains and shrinks slowly while none does
//! (additive increase of the rate would find a limit of unknown size too late; see Chiu and Jain 1989 on why one must back off
//! by a factor).
//!
//! Out of scope: how many rows are under way at once, which `--in-flight` bounds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The interval after the first complaint.
const FIRST: Duration = Duration::from_millis(50);
/// Never slower than this.
const SLOWEST: Duration = Duration::from_secs(2);
/// Complaints about requests of the same moment count once.
const DEAF: Duration = Duration::from_secs(1);

/// The pace that all rows of a run share.
pub(super) struct Pace(Mutex<State>);

struct State {
    interval: Duration,
    next: Instant,
    complained: Option<Instant>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State { interval: Duration::ZERO, next: now, complained: None }))
    }

    /// Waits for this row's turn.
    pub(super) async fn turn(&self) {
        let at = self.reserve(Instant::now());
        tokio::time::sleep_until(at.into()).await;
    }

    fn reserve(&self, now: Instant) -> Instant {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = state.next.max(now);
        state.next = at + state.interval;
        state.interval = state.interval.mul_f64(0.998);
        at
    }

    /// A node said that requests come too fast.
    pub(super) fn complained(&self, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.complained.is_some_and(|last| now.duration_since(last) < DEAF) {
            return;
        }
        state.complained = Some(now);
        state.interval = state.interval.mul_f64(1.5).clamp(FIRST, SLOWEST);
        // Let the nodes' counters recover before anything else is sent.
        state.next = state.next.max(now + DEAF);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_slows_all_rows_and_silence_speeds_them_up_again() {
        let start = Instant::now();
        let pace = Pace::new(start);
        assert_eq!(pace.reserve(start), start);
        assert_eq!(pace.reserve(start), start, "no pace before the first complaint");
        pace.complained(start);
        pace.complained(start + Duration::from_millis(10));
        let first = pace.reserve(start);
        assert_eq!(first, start + DEAF);
        assert_eq!(pace.reserve(start), first + FIRST, "complaints of one moment count once");
        pace.complained(start + DEAF * 2);
        let interval = |pace: &Pace| {
            let one = pace.reserve(start);
            pace.reserve(start) - one
        };
        let slow = interval(&pace);
        assert!(slow > FIRST && slow < FIRST * 2);
        for _ in 0..2000 {
            pace.reserve(start);
        }
        assert!(interval(&pace) < FIRST / 10);
    }
}
