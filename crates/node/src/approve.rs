//! The operator signs a charter with this node's key: what `commons-node charter sign` does. Needs no running node.
//!
//! Out of scope: writing charters, joining three signatures and bringing them to the nodes (`commons charter`, on any machine).

use std::io::Read;
use std::path::{Path, PathBuf};

use charter::{Approval, Charter, Document};
use types::limits;

use crate::Error;
use crate::config::NodeConfig;

/// A signature that was written.
#[derive(Debug)]
pub struct Signed {
    /// What was signed, in the form that counts.
    pub charter: Charter,
    /// The signature.
    pub approval: Approval,
    /// Where it lies: beside the charter, named after the node.
    pub file: PathBuf,
}

/// Checks the charter in `file`, which need not be in canonical form, signs it, and writes the signature beside it.
///
/// # Errors
/// [`Error::Proposed`] with what to change in the charter; [`Error::Io`]; whatever [`NodeConfig::open`] says.
pub fn sign_charter(config: &NodeConfig, file: &Path) -> Result<Signed, Error> {
    let (roster, identity) = config.open()?;
    let mut bytes = Vec::new();
    let limit = limits::CHARTER_BYTES as u64 + 1;
    let open = std::fs::File::open(file).map_err(Error::io(file))?;
    open.take(limit).read_to_end(&mut bytes).map_err(Error::io(file))?;
    let charter = read(&bytes, &roster).map_err(Error::Proposed)?;
    let approval = Approval::sign(&charter, identity.node(), identity.signing_key());
    let beside = PathBuf::from(format!("{}.signature-{}", file.display(), identity.node()));
    std::fs::write(&beside, approval.to_text()).map_err(Error::io(&beside))?;
    Ok(Signed { charter, approval, file: beside })
}

fn read(bytes: &[u8], roster: &types::roster::Roster) -> Result<Charter, charter::Error> {
    if bytes.len() > limits::CHARTER_BYTES {
        return Err(charter::Error::TooLarge { got: bytes.len(), limit: limits::CHARTER_BYTES });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| charter::Error::NotText)?;
    Charter::new(Document::from_toml(text)?, roster)
}
