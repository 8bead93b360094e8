//! The one error type of this crate, grouped by fault.

use types::NodeId;

use crate::Attribute;

/// Why a value was refused, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes that are no such value.
    #[error(transparent)]
    Encoding(#[from] types::Error),
    /// Of a format that this program does not know.
    #[error("this {what} has version {got}, and this program knows version {known}; update the older side")]
    Version {
        /// What was read.
        what: &'static str,
        /// Found.
        got: u16,
        /// Known.
        known: u16,
    },
    /// A JSON envelope of something else.
    #[error("this is not a {expected} in JSON; send one")]
    Envelope {
        /// What was expected.
        expected: &'static str,
    },
    /// A text that an attribute or a name cannot hold.
    #[error("`{field}`: {rule}")]
    Text {
        /// Which.
        field: &'static str,
        /// What to write.
        rule: &'static str,
    },
    /// A context that cannot be.
    #[error("this context cannot stand: {0}")]
    Context(&'static str),
    /// An issuer's key that is no key.
    #[error("the issuer key of node {node} is not one; fetch the roster again from its source")]
    IssuerKey {
        /// Whose.
        node: NodeId,
    },
    /// A member's secret that is none.
    #[error("these bytes are not a member's secret; recover it again")]
    Secret,
    /// A commitment without a valid proof.
    #[error("the commitment to the member's secret is not proven; make it again")]
    Commitment,
    /// Shares of a member's secret that do not belong together, or not to the commitment.
    #[error("these are not shares of this member's secret; make them again, or report the node that keeps them")]
    Escrow,
    /// A signature that is not over this member's secret and these attributes.
    #[error("node {node} did not sign what was asked for; ask it again, and report it if it persists")]
    Issued {
        /// Which node.
        node: NodeId,
    },
    /// The member has too few credentials that can be shown now.
    #[error("two nodes' credentials of one epoch are needed, and {have} can be shown; renew them")]
    TooFewCredentials {
        /// Usable ones.
        have: usize,
    },
    /// A value that the context's policy does not accept.
    #[error("the context asks for another `{attribute}` than is vouched for")]
    Demand {
        /// Which.
        attribute: Attribute,
    },
    /// A request for a proof that cannot be.
    #[error("this request for a proof cannot stand: {0}")]
    Request(&'static str),
    /// The context has not begun.
    #[error("this context opens later; come back then")]
    NotOpen,
    /// The context is over.
    #[error("this context has closed; nobody can be admitted any more")]
    Closed,
    /// Another context than expected.
    #[error("this was made for another context; start again from this one")]
    WrongContext,
    /// Made for another verifier.
    #[error("this was made for another verifier; do not pass it on, ask the person for a new one")]
    WrongAudience,
    /// Answers no challenge of this verifier, or one that was answered already.
    #[error("this answers no open challenge, or one that was answered before; ask for a new one")]
    WrongNonce,
    /// The challenge's time is over, or not begun.
    #[error("the challenge is too old, or from a clock that is wrong; ask for a new one")]
    Stale,
    /// Too few issuers.
    #[error("proofs by two different nodes are needed")]
    OneIssuer,
    /// Signed for a time that is over, or not begun.
    #[error("these credentials are not of this time; renew them")]
    Epoch,
    /// Does not disclose exactly what the context asks.
    #[error("the presentation must disclose what the context asks, all of it and nothing else")]
    Disclosure,
    /// A pseudonym that is no point.
    #[error("this is not a pseudonym; copy it again from its source")]
    Pseudonym,
    /// A proof that does not hold: altered, of another member, of another roster, or forged.
    #[error("the proof of node {node}'s credential does not hold: altered, another member's, or from another roster")]
    Proof {
        /// Whose credential.
        node: NodeId,
    },
    /// The proofs' pairings do not hold.
    #[error("the proofs do not hold: they are not by the nodes of this roster")]
    Signatures,
    /// The persona was admitted before, where each is once.
    #[error("this person was admitted before, and this context admits each person once")]
    Again,
    /// A gate that is full.
    #[error("too many {what} are open here; try again later")]
    Full {
        /// Of what.
        what: &'static str,
    },
    /// A reveal that does not hold.
    #[error("this reveal does not hold: altered, for another verifier, or not one person")]
    Reveal,
    /// A verifier's key for reveals without proof that the verifier holds it.
    #[error("this key is not proven to be held by its owner; ask them for it again")]
    RevealKey,
    /// A persona's code that is too old, or not made by this persona.
    #[error("this code is not valid now; ask for the one on the screen at this moment")]
    Code,
}
