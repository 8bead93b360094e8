//! Attempts per device (a token bucket): of verification, where each answer tells one bit about a record, and of issuing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use types::DeviceKey;

use crate::Error;

/// Devices remembered. Beyond, those whose bucket is full again are forgotten, and then the oldest.
const DEVICES: usize = 100_000;

/// When each device's bucket will be full again; a device that is not listed has a full one.
pub(super) struct Attempts {
    full_at: Mutex<HashMap<DeviceKey, Instant>>,
    interval: Duration,
    window: Duration,
}

impl Attempts {
    /// `at_once` attempts, and one more after each `interval`.
    pub(super) fn new(at_once: u32, interval: Duration) -> Self {
        Self { full_at: Mutex::default(), interval, window: interval * at_once.max(1) }
    }

    /// Takes one attempt.
    pub(super) fn take(&self, device: &DeviceKey) -> Result<(), Error> {
        self.take_at(device, Instant::now())
    }

    fn take_at(&self, device: &DeviceKey, now: Instant) -> Result<(), Error> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= DEVICES {
            full_at.retain(|_, at| *at > now);
            if full_at.len() >= DEVICES {
                full_at.clear();
            }
        }
        let at = full_at.get(device).copied().unwrap_or(now).max(now) + self.interval;
        let over = (at - now).saturating_sub(self.window);
        if !over.is_zero() {
            return Err(Error::TooManyAttempts { retry_after_s: over.as_secs() + 1 });
        }
        full_at.insert(*device, at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_few_attempts_and_then_one_per_interval() {
        let attempts = Attempts::new(3, Duration::from_secs(30));
        let (one, other, start) = (DeviceKey([1; 32]), DeviceKey([2; 32]), Instant::now());
        for _ in 0..3 {
            attempts.take_at(&one, start).unwrap();
        }
        assert!(matches!(attempts.take_at(&one, start), Err(Error::TooManyAttempts { retry_after_s: 31 })));
        attempts.take_at(&other, start).unwrap();
        let later = start + Duration::from_secs(30);
        attempts.take_at(&one, later).unwrap();
        assert!(attempts.take_at(&one, later).is_err());
    }
}
