//! What the application core is given: who it is, whom it trusts, its keys, a clock, and how patient it is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use credential::IssuerKey;
use ed25519_dalek::SigningKey;
use types::roster::Roster;
use types::seal::SealKey;
use types::{NodeId, UnixSeconds};

use super::faults::Faults;
use super::publisher::{Courier, NoCourier, WitnessAt, nodes_as_witnesses};
use crate::metrics::Metrics;

/// Tells the time. Tests move it by hand.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since 1970.
    fn now(&self) -> UnixSeconds;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixSeconds {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
    }
}

/// Everything `App::start` needs besides the store and the links.
#[derive(Clone)]
pub struct Config {
    /// Which node this is.
    pub node: NodeId,
    /// The commons.
    pub roster: Arc<Roster>,
    /// Signs decisions and statements.
    pub signing_key: SigningKey,
    /// Signs checkpoints of this node's log, and cosigns those of the others.
    pub log_key: SigningKey,
    /// Opens shares.
    pub seal_key: SealKey,
    /// Signs credentials.
    pub issuer_key: Arc<IssuerKey>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// How patient it is.
    pub patience: Patience,
    /// What the slowest link between two nodes carries.
    pub mbit_per_s: u32,
    /// How often the stored shares are renewed; by an operator's word alone when absent.
    pub refresh_interval: Option<Duration>,
    /// Where batches are counted.
    pub metrics: Arc<Metrics>,
    /// Who is asked to cosign: the other two nodes first.
    pub witnesses: Vec<WitnessAt>,
    /// How they are reached.
    pub courier: Arc<dyn Courier>,
    pub(crate) faults: Faults,
}

/// Time limits and rates that an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a client waits for a decision before it is told that its operation is in doubt.
    pub answer: Duration,
    /// How long an operation waits for the two other nodes to receive their shares.
    pub share: Duration,
    /// How long a proposal waits for the other nodes.
    pub proposal: Duration,
    /// Verification attempts that one device may make at once.
    pub attempts: u32,
    /// Seconds after which one more attempt is allowed.
    pub attempt_interval: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            share: Duration::from_secs(5),
            proposal: Duration::from_secs(5),
            attempts: 20,
            attempt_interval: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// With links of 1 Gbit/s, the system's clock and the usual patience. The other two nodes are witnesses that nobody can reach until a courier is
    /// set. The keys sign decisions, the log and credentials.
    pub fn new(
        node: NodeId,
        roster: Arc<Roster>,
        (signing_key, log_key, issuer_key): (SigningKey, SigningKey, Arc<IssuerKey>),
        seal_key: SealKey,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (clock, patience, faults) = (Arc::new(SystemClock), Patience::default(), Faults::default());
        let (witnesses, courier) = (Vec::new(), Arc::new(NoCourier));
        let mut config = Self {
            node,
            roster,
            signing_key,
            log_key,
            seal_key,
            issuer_key,
            clock,
            patience,
            refresh_interval: None,
            mbit_per_s: 1000,
            metrics,
            witnesses,
            courier,
            faults,
        };
        config.witnesses = nodes_as_witnesses(&config);
        config
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config {{ node: {}, commons: {}, <keys redacted> }}", self.node, self.roster.digest())
    }
}
