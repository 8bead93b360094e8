//! What the core needs from the machine it runs on: a clock, randomness, and a way to wait.

use std::pin::Pin;
use std::time::Duration;

use types::UnixSeconds;

use crate::Error;

/// A future of a trait method. `Send` where threads exist.
#[cfg(not(target_family = "wasm"))]
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A future of a trait method. `Send` where threads exist.
#[cfg(target_family = "wasm")]
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Clock, randomness, waiting.
pub trait Platform: Send + Sync {
    /// The time now.
    fn now(&self) -> UnixSeconds;
    /// 32 bytes fit for keys.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    fn random(&self) -> Result<[u8; 32], Error>;
    /// Waits.
    fn sleep(&self, time: Duration) -> Pending<'_, ()>;
}
