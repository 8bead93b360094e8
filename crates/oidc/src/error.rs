//! The one error type of this crate: what stops the program or a request of its own fault. What a client did wrong has its own
//! types: [`crate::authorize::Refusal`], [`crate::provider::Denied`].

use std::net::SocketAddr;
use std::path::PathBuf;

/// What can go wrong in the provider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that cannot be.
    #[error("the configuration cannot be used: {what}")]
    Config {
        /// Which, and what to write.
        what: String,
    },
    /// A file that cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No data directory.
    #[error("{} is no data directory of commons-oidc; make one with `commons-oidc init`", path.display())]
    NoStore {
        /// Which.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{} exists and is not empty; choose another directory", path.display())]
    StoreExists {
        /// Which.
        path: PathBuf,
    },
    /// Readable by others.
    #[error("{} can be read by other users; run `chmod 600` on it", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// The address is taken.
    #[error("cannot listen on {address}; is another program using it? Set `bind`")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The database failed.
    #[error("the database does not work; is the disk full?")]
    Database(#[from] sqlx::Error),
    /// Its layout could not be made.
    #[error("the database is of another version of commons-oidc, or damaged")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A token or key.
    #[error(transparent)]
    Jose(#[from] crate::jose::JoseError),
    /// A roster or a value in it.
    #[error(transparent)]
    Value(#[from] types::Error),
    /// A context, an issuer's key, a proof.
    #[error(transparent)]
    Credential(#[from] credential::Error),
    /// Our own fault.
    #[error("a fault in commons-oidc: {what}")]
    Internal {
        /// What should have held.
        what: &'static str,
    },
}

impl Error {
    /// With its causes, for the terminal and the log.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        text
    }
}
