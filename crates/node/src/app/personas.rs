//! A node's part in personas: it opens its share of a member's secret and checks it, signs credentials, and tells a member of
//! attempts with their key that it refused.
//!
//! In scope: what a node does by itself. Out of scope: the binding as a decision of all three (`sequencer`), the rules (`charter`),
//! the arithmetic (`credential`).

use credential::escrow::{Share, Slope};
use credential::{Attributes, Commitment, CommitmentRequest, IssuerName};
use types::message::{Action, Request};
use types::persona::{Issued, Refused};
use types::seal::{self, SealKey};
use types::sign::Message as _;
use types::{NodeId, UnixSeconds};
use zeroize::Zeroizing;

use super::facts::{Shields, State};
use super::rules::Rules;
use super::sequencer::Core;
use crate::Error;

/// A binding as this node has checked it.
#[derive(Debug)]
pub(crate) struct OpenedBinding {
    pub(crate) commitment: Commitment,
    pub(crate) slope: Slope,
    pub(crate) share: Share,
}

/// Checks the proof in a binding, opens this node's share of the secret, and checks that it is one of the secret in the commitment.
/// Takes milliseconds.
///
/// # Errors
/// [`Error::Binding`]; [`Error::Value`] when the share was not sealed for this node and request.
pub(crate) fn open_binding(request: &Request, node: NodeId, key: &SealKey, sealed: &[u8]) -> Result<OpenedBinding, Error> {
    let Action::Bind(binding) = &request.action else { return Err(Error::ShareUnexpected) };
    let commitment = CommitmentRequest::from_bytes(binding.request).verify()?;
    if commitment.digest() != binding.commitment {
        return Err(credential::Error::Commitment.into());
    }
    let limit = Share::LEN + seal::OVERHEAD;
    if sealed.len() > limit {
        return Err(types::Error::TooLarge { what: "sealed share", got: sealed.len(), limit }.into());
    }
    let plain = Zeroizing::new(seal::open(key, seal::ESCROW, &request.digest(), sealed)?);
    let (share, slope) = (Share::from_bytes(&plain)?, Slope::from_bytes(binding.slope));
    if share.node() != node {
        return Err(credential::Error::Escrow.into());
    }
    share.check(&commitment, &slope)?;
    Ok(OpenedBinding { commitment, slope, share })
}

/// Answer to `Issue`: this node's signature over the secret that the member is bound to, and what is vouched for about them. Asked twice
/// with the same claims, it is the same. Nothing of the claims is kept.
///
/// # Errors
/// [`Error::NotPermitted`], [`Error::UnknownMember`]; [`Error::Database`].
pub(super) async fn issue(core: &Core, rules: &Rules, request: &Request, now: UnixSeconds) -> Result<Option<Issued>, Error> {
    let Action::Issue { epoch, claims } = &request.action else { return Ok(None) };
    let epoch = *epoch;
    let judged = State::of(core, rules).judge(request, None, Shields::Known, now).await?;
    let member = judged.concerned.ok_or(Error::UnknownMember)?;
    let binding = core.store.binding(&member.member).await?.ok_or(Error::UnknownMember)?;
    let roster = &core.config.roster;
    let mut attributes = Attributes::new(&roster.commons, roster.epochs.at(member.since), rules.charter.version())?;
    for claim in claims {
        attributes = attributes.with(claim.message.kind.into(), &claim.message.value)?;
    }
    let (key, commons, node) = (core.config.issuer_key.clone(), core.commons, core.config.node);
    let said = attributes.clone();
    let sign = move || key.issue(&IssuerName { commons: &commons, node }, epoch, &binding.commitment, &said);
    let signature = tokio::task::spawn_blocking(sign).await;
    let signature = signature.unwrap_or(Err(credential::Error::Commitment))?.to_bytes();
    core.store.note_issue(&member.member, epoch, now).await?;
    Ok(Some(Issued { epoch, attributes: attributes.to_bytes(), signature }))
}

/// Keeps for the member that something was tried with their key and refused by a rule.
///
/// # Errors
/// [`Error::Database`].
pub(super) async fn note_refusal(core: &Core, request: &Request, error: &Error) -> Result<(), Error> {
    let action = &request.action;
    let (Action::Bind(_) | Action::Issue { .. }, Some(rule)) = (action, error.rule()) else { return Ok(()) };
    let Some(member) = core.store.member(&request.device).await? else { return Ok(()) };
    let (at, action, rule) = (core.config.clock.now(), action.name().to_owned(), rule.to_owned());
    core.store.note_refusal(&member.member, &Refused { at, action, rule }).await
}
