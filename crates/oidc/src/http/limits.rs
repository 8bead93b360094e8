//! How often one address may ask. Generic cell rate algorithm, as in `governor`; nothing is stored or logged.

use std::net::IpAddr;
use std::num::NonZeroU32;

use axum::http::HeaderMap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::Config;

/// Entries after which full allowances are forgotten at once.
const ENTRIES: usize = 100_000;

/// The allowances.
pub(super) struct RateLimits {
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

impl RateLimits {
    pub(super) fn new(config: &Config) -> Self {
        let positive = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(positive(config.address_per_minute)).allow_burst(positive(config.address_burst));
        Self { addresses: RateLimiter::dashmap(quota), clock: DefaultClock::default() }
    }

    /// One more request; else the seconds to wait.
    pub(super) fn address(&self, address: IpAddr) -> Result<(), u64> {
        if self.addresses.len() > ENTRIES {
            self.addresses.retain_recent();
        }
        let checked = self.addresses.check_key(&network(address));
        checked.map_err(|not_until| not_until.wait_time_from(self.clock.now()).as_secs() + 1)
    }
}

/// One subscriber: an IPv4 address, or an IPv6 /64 network, inside which addresses cost nothing.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

/// The address that a request counts for: the connection's, or what the proxy on this machine says. Only the last entry of the
/// header is the proxy's own; the others are whatever the client sent.
pub(super) fn whose(connection: IpAddr, headers: &HeaderMap, forwarded_for: bool) -> IpAddr {
    if !forwarded_for || !connection.to_canonical().is_loopback() {
        return connection;
    }
    let last = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    last.and_then(|list| list.rsplit(',').next()?.trim().parse().ok()).unwrap_or(connection)
}
