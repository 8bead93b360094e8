//! How often one address or one device may ask. Generic cell rate algorithm, as in `governor`.
//!
//! The address counts before a byte of the body is read, the device after its signature holds: nobody can use up the allowance
//! of a device whose key they do not have. Nothing here is stored or logged.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use types::DeviceKey;

use super::problem::Failure;
use crate::config::HttpConfig;

/// Entries after which full allowances are forgotten at once.
const ENTRIES: usize = 100_000;

/// The allowances of one node.
pub(crate) struct RateLimits {
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    devices: DefaultKeyedRateLimiter<DeviceKey>,
    clock: DefaultClock,
}

impl RateLimits {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self {
            addresses: RateLimiter::dashmap(quota(config.address_per_minute, config.address_burst)),
            devices: RateLimiter::dashmap(quota(config.device_per_minute, config.device_burst)),
            clock: DefaultClock::default(),
        }
    }

    pub(crate) fn address(&self, address: IpAddr) -> Result<(), Failure> {
        self.check(&self.addresses, network(address), "this network address")
    }

    pub(crate) fn device(&self, device: DeviceKey) -> Result<(), Failure> {
        self.check(&self.devices, device, "this device")
    }

    /// Forgets allowances that are full again.
    pub(crate) fn tidy(&self) {
        self.addresses.retain_recent();
        self.devices.retain_recent();
        self.addresses.shrink_to_fit();
        self.devices.shrink_to_fit();
    }

    fn check<K: std::hash::Hash + Eq + Clone>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: K,
        who: &str,
    ) -> Result<(), Failure> {
        if limiter.len() > ENTRIES {
            limiter.retain_recent();
        }
        limiter.check_key(&key).map_err(|not_until| {
            let seconds = not_until.wait_time_from(self.clock.now()).as_secs() + 1;
            let detail = format!("too many requests from {who}; try again in {seconds} s");
            Failure::new("rate-limited", detail).retry_after(seconds)
        })
    }
}

fn quota(per_minute: u32, burst: u32) -> Quota {
    let positive = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Quota::per_minute(positive(per_minute)).allow_burst(positive(burst))
}

/// One subscriber: an IPv4 address, or an IPv6 /64 network, inside which addresses cost nothing.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NodeConfig;

    #[test]
    fn a_burst_passes_and_then_each_waits_for_its_own() {
        let mut config = NodeConfig::loopback("d".into(), "r".into()).unwrap().http;
        (config.address_per_minute, config.address_burst) = (1, 3);
        let limits = RateLimits::new(&config);
        let (one, two) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..3 {
            assert!(limits.address(one).is_ok());
        }
        assert!(limits.address(one).is_err());
        assert!(limits.address("::ffff:192.0.2.1".parse().unwrap()).is_err(), "the same address in other clothes");
        assert!(limits.address(two).is_ok());
        limits.tidy();
        assert!(limits.address(one).is_err(), "tidying forgives nothing");
    }

    #[test]
    fn one_ipv6_network_is_one_subscriber() {
        let net = |text: &str| network(text.parse().unwrap());
        assert_eq!(net("2001:db8::1"), net("2001:db8::ffff:1"));
        assert_ne!(net("2001:db8:0:1::1"), net("2001:db8:0:2::1"));
    }
}
