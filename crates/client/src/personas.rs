//! The secret behind a member's personas, and the credentials that three nodes sign over it.
//!
//! A membership is bound once ([`Client::bind`]); then each node signs anew for every epoch ([`Client::collect`]). What a node signs is
//! believed only where another node says the same: a node that wrote something of its own into one member's credentials could know
//! them again by it. **Never collect because somebody asks for a presentation**: the node that sees the one and the relying party
//! that sees the other could compare times.
//!
//! **In scope**: the conversation. **Out of scope**: keeping secret, credentials and personas ([`crate::wallet`]).

use credential::escrow::{Share, combine_shares};
use credential::{Attribute, Attributes, Credential, Epoch, IssuedSignature, Issuers, MemberSecret};
use ed25519_dalek::SigningKey;
use types::message::{Outcome, Statement};
use types::persona::{Claim, ClaimKind, Issued};
use types::recovery::Released;
use types::sign::Signed;
use types::{Digest, NodeId};

use crate::error::{Complaint, Error, Fault};
use crate::platform::Platform;
use crate::request::Question;
use crate::session::{Client, Proof, Statements};
use crate::transport::Transport;
use crate::wallet::{Renewal, Wallet};

/// Credentials of one epoch, each checked against the member's secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// For when.
    pub epoch: Epoch,
    /// By at least two nodes, and all saying the same.
    pub credentials: Vec<Credential>,
    /// Nodes that did not answer, or refused; and why.
    pub missing: Vec<(NodeId, Error)>,
}

/// To which secret the nodes say that a membership is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The nodes know no member of this device.
    NoMember,
    /// To none yet.
    No,
    /// To this commitment's.
    To(Digest),
}

impl<T: Transport, P: Platform> Client<T, P> {
    /// Binds the membership of `device` to `secret`, for good. Keep the secret before you call this: after a lost answer it is the
    /// one that counts.
    ///
    /// # Errors
    /// [`Error::Refused`] with `already-bound`, and as [`Client::enrol`].
    pub async fn bind(&self, device: &SigningKey, secret: &MemberSecret) -> Result<Proof, Error> {
        self.settle(device, Question::Bind(secret)).await
    }

    /// Binds the membership to the secret of `wallet`, unless the nodes say that it is. **Keep the wallet before**: a secret that only the
    /// nodes know would be lost. Keep it again after.
    ///
    /// # Errors
    /// [`Error::NotAMember`], [`Error::BoundElsewhere`]; as [`bound`] and [`Self::bind`].
    pub async fn bind_wallet(&self, device: &SigningKey, wallet: &mut Wallet) -> Result<Option<Proof>, Error> {
        if wallet.is_bound() {
            return Ok(None);
        }
        let secret = wallet.secret()?;
        let own = secret.commitment().digest();
        let proof = match bound(&self.status(device).await?)? {
            Bound::NoMember => return Err(Error::NotAMember),
            Bound::To(commitment) if commitment == own => None,
            Bound::To(_) => return Err(Error::BoundElsewhere),
            Bound::No => {
                let proof = self.bind(device, &secret).await?;
                if proof.outcome() != (Outcome::Bound { commitment: own }) {
                    return Err(Error::BoundElsewhere);
                }
                Some(proof)
            }
        };
        wallet.set_bound();
        Ok(proof)
    }

    /// Fetches credentials into `wallet` where it is time, with the claims that the wallet keeps; where the nodes accept one of these no more,
    /// with none. Keep the wallet then. To be called when a member uses their device, or at a moment chosen at random: never because
    /// somebody asks for a presentation.
    ///
    /// # Errors
    /// As [`Self::collect`].
    pub async fn renew_wallet(&self, device: &SigningKey, wallet: &mut Wallet) -> Result<Option<Collected>, Error> {
        let claims = wallet.claims(self.platform().now());
        match self.renew_wallet_with(device, wallet, &claims).await {
            Err(Error::Refused { code, .. }) if code.starts_with("claim-") => {
                self.renew_wallet_with(device, wallet, &[]).await
            }
            fetched => fetched,
        }
    }

    /// The same, with exactly these claims.
    ///
    /// # Errors
    /// As [`Self::collect`].
    pub async fn renew_wallet_with(
        &self,
        device: &SigningKey,
        wallet: &mut Wallet,
        claims: &[Signed<Claim>],
    ) -> Result<Option<Collected>, Error> {
        let (epochs, now) = (self.commons().roster().epochs, self.platform().now());
        let Renewal::Fetch(epoch) = wallet.renewal(&epochs, now) else { return Ok(None) };
        let collected = self.collect(device, &wallet.secret()?, epoch, claims).await?;
        let [a, b, c, d, e, f, g, h, ..] = self.platform().random()?;
        wallet.keep(&collected.credentials, &epochs, now, u64::from_le_bytes([a, b, c, d, e, f, g, h]));
        Ok(Some(collected))
    }

    /// Credentials of `epoch` over `secret`, from at least two nodes, which say what `claims` say and vouch for nothing else.
    ///
    /// # Errors
    /// [`Error::Misbehaved`] for what no honest node signs; [`Error::CredentialsDiffer`] when no two say the same;
    /// [`Error::Refused`], [`Error::Unavailable`] when fewer than two nodes sign; as [`Client::charter`].
    pub async fn collect(
        &self,
        device: &SigningKey,
        secret: &MemberSecret,
        epoch: Epoch,
        claims: &[Signed<Claim>],
    ) -> Result<Collected, Error> {
        let issuers = Issuers::of(self.commons().roster())?;
        let version = self.charter().await?.charter.version();
        let statements = self.tell(device, Question::Issue(epoch, claims)).await?;
        let expected = Expected { roster: self.commons().roster(), version, epoch, claims };
        let mut missing = Vec::new();
        let mut issued: Vec<(NodeId, Attributes, Issued)> = Vec::new();
        for (node, statement) in NodeId::ALL.into_iter().zip(statements.nodes) {
            match statement.and_then(|statement| plausible(&expected, node, statement)) {
                Ok((attributes, word)) => issued.push((node, attributes, word)),
                Err(error) => missing.push((node, error)),
            }
        }
        let Some(said) = agreed(&issued).cloned() else {
            return Err(match issued.as_slice() {
                // Each could be true, and which one lies cannot be told.
                [_, _, ..] => Error::CredentialsDiffer { nodes: issued.iter().map(|(node, ..)| *node).collect() },
                _ => self.why_not(missing),
            });
        };
        let mut credentials = Vec::new();
        for (node, attributes, word) in issued {
            let signature = IssuedSignature::from_bytes(word.signature);
            let accepted = if attributes == said {
                Credential::accept(secret, &issuers, node, epoch, &said, &signature).ok()
            } else {
                None
            };
            match accepted {
                Some(credential) => credentials.push(credential),
                None => missing.push((node, lie(node, Fault::WrongCredential))),
            }
        }
        if credentials.len() >= 2 {
            return Ok(Collected { epoch, credentials, missing });
        }
        Err(self.why_not(missing))
    }

    /// The error that weighs most: a lie before a refusal, a refusal before a silence.
    fn why_not(&self, missing: Vec<(NodeId, Error)>) -> Error {
        let weight = |error: &Error| match error {
            Error::Misbehaved { .. } => 0,
            Error::Refused { code, .. } if code == "charter-changed" => 1,
            Error::Refused { .. } | Error::TryAgain { .. } => 1,
            _ => 2,
        };
        let silent: Vec<NodeId> = missing.iter().filter(|(_, error)| weight(error) == 2).map(|(node, _)| *node).collect();
        self.forget_charter();
        let worst = missing.into_iter().map(|(_, error)| error).min_by_key(weight);
        match worst {
            Some(error) if weight(&error) < 2 => error,
            _ => Error::Unavailable { nodes: silent },
        }
    }
}

/// The secret behind a recovered member's personas, from the shares that nodes released. The nodes' word `bound` names the commitment that
/// it must have, so that one node's wrong share is told from the others'.
///
/// # Errors
/// [`Error::Persona`] when no two shares give the secret.
pub fn restore(released: &[(NodeId, Released)], bound: &Digest) -> Result<MemberSecret, Error> {
    let share = |(node, released): &(NodeId, Released)| {
        let share = Share::from_bytes(&released.share.as_ref()?.0).ok()?;
        (share.node() == *node).then_some(share)
    };
    let shares: Vec<Share> = released.iter().filter_map(share).collect();
    for (i, one) in shares.iter().enumerate() {
        for other in shares.iter().skip(i + 1) {
            if let Ok(secret) = combine_shares(one, other)
                && secret.commitment().digest() == *bound
            {
                return Ok(secret);
            }
        }
    }
    Err(credential::Error::Escrow.into())
}

/// To what the nodes' statements say that the membership is bound: all that answer must say the same.
///
/// # Errors
/// [`Error::Unavailable`] when no node answers, [`Error::Misbehaved`] when they differ: the one against two, or the later one where
/// only two answer.
pub fn bound(statements: &Statements) -> Result<Bound, Error> {
    let says = |statement: &Statement| match &statement.member {
        None => Bound::NoMember,
        Some(member) => member.bound.map_or(Bound::No, Bound::To),
    };
    let nodes = NodeId::ALL.into_iter().zip(&statements.nodes);
    let told: Vec<(NodeId, Bound)> =
        nodes.filter_map(|(node, statement)| Some((node, says(statement.as_ref().ok()?)))).collect();
    let alike = |one: &Bound| told.iter().filter(|(_, other)| other == one).count();
    let most = told.iter().map(|(_, says)| says).rev().max_by_key(|says| alike(says)).copied();
    let silent = || statements.nodes.iter().find_map(|node| node.as_ref().err()).cloned().unwrap_or(Error::Http);
    let most = most.ok_or_else(silent)?;
    match told.iter().find(|(_, says)| *says != most) {
        Some((node, _)) => Err(lie(*node, Fault::WrongCredential)),
        None => Ok(most),
    }
}

/// What is known of a credential before a node signs it.
struct Expected<'a> {
    roster: &'a types::roster::Roster,
    version: u64,
    epoch: Epoch,
    claims: &'a [Signed<Claim>],
}

/// What a node signed, where it can be true: of the epoch asked for, of this commons, under the rules in force, vouching for what was
/// brought and nothing else.
fn plausible(expected: &Expected<'_>, node: NodeId, statement: Statement) -> Result<(Attributes, Issued), Error> {
    let wrong = || lie(node, Fault::WrongCredential);
    let issued = statement.issued.filter(|issued| issued.epoch == expected.epoch).ok_or_else(wrong)?;
    let attributes = Attributes::from_bytes(&issued.attributes).map_err(|_| wrong())?;
    let brought = |kind: ClaimKind| {
        let claim = expected.claims.iter().find(|claim| claim.message.kind == kind);
        claim.map_or("", |claim| claim.message.value.as_str())
    };
    let true_here = attributes.value(Attribute::Community) == expected.roster.commons
        && attributes.value(Attribute::Charter) == expected.version.to_string()
        && ClaimKind::ALL.into_iter().all(|kind| attributes.value(kind.into()) == brought(kind));
    if true_here { Ok((attributes, issued)) } else { Err(wrong()) }
}

/// What at least two nodes say.
fn agreed(issued: &[(NodeId, Attributes, Issued)]) -> Option<&Attributes> {
    let twice = |said: &&Attributes| issued.iter().filter(|(_, other, _)| other == *said).count() >= 2;
    issued.iter().map(|(_, attributes, _)| attributes).find(twice)
}

fn lie(node: NodeId, fault: Fault) -> Error {
    Error::Misbehaved { complaint: Complaint { node, fault } }
}
