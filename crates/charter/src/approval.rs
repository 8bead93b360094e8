//! One operator's signature on a charter, as a small text file that operators send one another.
//!
//! Four lines: what it is, the node, the charter's digest, the signature in hexadecimal. **Trust**: none is needed; three of them are
//! joined to a [`types::consent::SignedCharter`], which is verified as a whole ([`crate::Charter::from_signed`]).

use ed25519_dalek::SigningKey;
use types::consent::CharterDocument;
use types::sign::sign;
use types::{Digest, NodeId, Signature};

use crate::{Charter, Error};

const FIRST_LINE: &str = "trust-commons charter signature 1";
/// Longest such file.
pub const APPROVAL_BYTES: usize = 1024;

/// Whose signature, over which charter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval {
    /// Which node's operator.
    pub node: NodeId,
    /// The charter.
    pub charter: Digest,
    /// Over its canonical bytes.
    pub signature: Signature,
}

impl Approval {
    /// Signs as the operator of `node`.
    pub fn sign(charter: &Charter, node: NodeId, key: &SigningKey) -> Self {
        let signature = sign(&CharterDocument(charter.bytes().to_vec()), key);
        Self { node, charter: charter.digest(), signature }
    }

    /// The file.
    pub fn to_text(&self) -> String {
        format!("{FIRST_LINE}\nnode {}\ncharter {}\n{}\n", self.node, self.charter, self.signature)
    }

    /// Reads what [`Self::to_text`] wrote; verifies nothing.
    ///
    /// # Errors
    /// [`Error::NotAnApproval`].
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let parse = || {
            if text.len() > APPROVAL_BYTES {
                return None;
            }
            let mut lines = text.lines();
            let (first, node, charter) = (lines.next()?, lines.next()?, lines.next()?);
            let (signature, None) = (lines.next()?, lines.next()) else { return None };
            let node = NodeId::new(node.strip_prefix("node ")?.parse().ok()?).ok()?;
            let charter = Digest::from_hex(charter.strip_prefix("charter ")?).ok()?;
            let signature = Signature::from_hex(signature).ok()?;
            (first == FIRST_LINE).then_some(Self { node, charter, signature })
        };
        parse().ok_or(Error::NotAnApproval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let approval = Approval { node: NodeId::ALL[1], charter: Digest([7; 32]), signature: Signature([9; 64]) };
        let text = approval.to_text();
        assert_eq!(Approval::from_text(&text), Ok(approval));
        for (from, to) in
            [("signature 1", "signature 2"), ("node 2", "node 4"), ("charter 07", "charter 7"), ("\n09", "\n9")]
        {
            assert_eq!(Approval::from_text(&text.replacen(from, to, 1)), Err(Error::NotAnApproval), "{from}");
        }
        assert_eq!(Approval::from_text(&format!("{text}more\n")), Err(Error::NotAnApproval));
        assert_eq!(Approval::from_text(&text.repeat(9)), Err(Error::NotAnApproval));
    }
}
