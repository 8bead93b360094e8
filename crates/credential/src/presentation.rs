//! Showing credentials: one pseudonym, two issuers' proofs, and only what the context demands.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use types::{Digest, NodeId, UnixSeconds, encode};
use zeroize::Zeroize;

use crate::bbs::{
    Claimed, Nym, PairingCheck, Shown, base_of, combine, interface, message_scalar, proof_len, prove,
    verify as verify_proof, write_point,
};
use crate::issuer::known_messages;
use crate::{Attribute, Context, Credential, Envelope, Epoch, Error, Fresh, Issuers, MemberSecret, Pseudonym, limits};

/// What a verifier sends before it looks at a presentation.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Challenge {
    version: u16,
    context: Digest,
    nonce: [u8; 32],
    issued_at: UnixSeconds,
    expires_at: UnixSeconds,
}

impl Challenge {
    /// A challenge for `context`, good for `lifetime_s` seconds (at most [`limits::CHALLENGE_LIFETIME_S`]). The nonce is 32 fresh
    /// random bytes; one challenge takes one answer.
    pub fn new(context: &Context, nonce: [u8; 32], now: UnixSeconds, lifetime_s: u64) -> Self {
        let expires_at = now.saturating_add(lifetime_s.min(limits::CHALLENGE_LIFETIME_S));
        Self { version: Self::VERSION, context: context.digest(), nonce, issued_at: now, expires_at }
    }
    /// What makes it unique.
    pub fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }
    /// [`Context::digest`] of its context.
    pub fn context(&self) -> &Digest {
        &self.context
    }
    /// Last second of its life.
    pub fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }
    /// Was it made for this context?
    pub fn is_of(&self, context: &Context) -> bool {
        self.context == context.digest()
    }
    /// Is it for this context and this moment? Clocks may differ by `skew_s`.
    fn check_for(&self, context: &Context, now: UnixSeconds, skew_s: u64) -> Result<(), Error> {
        if self.context != context.digest() {
            return Err(Error::WrongContext);
        }
        if now > self.expires_at.saturating_add(skew_s) || now.saturating_add(skew_s) < self.issued_at {
            return Err(Error::Stale);
        }
        Ok(())
    }
}

impl Envelope for Challenge {
    const NAME: &'static str = "challenge";
    const LIMIT: usize = limits::CHALLENGE_BYTES;
    const VERSION: u16 = 1;
    fn version(&self) -> u16 {
        self.version
    }
}

/// A member's answer: valid for one context, one challenge and, by its context, one verifier.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Presentation {
    version: u16,
    context: Digest,
    nonce: [u8; 32],
    pseudonym: Pseudonym,
    epoch: Epoch,
    disclosed: BTreeMap<Attribute, String>,
    proofs: Vec<IssuerProof>,
}

/// The proof of one issuer's credential.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct IssuerProof {
    node: NodeId,
    proof: Vec<u8>,
}

impl Presentation {
    /// Who, in this context. Means nothing before [`verify`].
    pub fn pseudonym(&self) -> &Pseudonym {
        &self.pseudonym
    }
    /// Which challenge it answers.
    pub fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }
    /// [`Context::digest`] of its context.
    pub fn context(&self) -> &Digest {
        &self.context
    }
}

impl Envelope for Presentation {
    const NAME: &'static str = "presentation";
    const LIMIT: usize = limits::PRESENTATION_BYTES;
    const VERSION: u16 = 1;
    fn version(&self) -> u16 {
        self.version
    }
}

/// What a verifier has learned, and all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The person, in this context.
    pub pseudonym: Pseudonym,
    /// The epoch of their credentials.
    pub epoch: Epoch,
    /// What they disclosed; an empty text says that it is not vouched for.
    pub disclosed: BTreeMap<Attribute, String>,
}

/// Makes a presentation. `audience` is whom the member is in fact talking to, such as the origin of the page: a site that asks for
/// the pseudonym of another one's context gets nothing.
///
/// # Errors
/// [`Error::WrongAudience`], [`Error::WrongContext`], [`Error::Stale`], [`Error::NotOpen`], [`Error::Closed`],
/// [`Error::TooFewCredentials`], [`Error::Demand`].
#[expect(clippy::too_many_arguments, reason = "who, with what, to whom, when: each is a different thing")]
pub fn present(
    secret: &MemberSecret,
    credentials: &[Credential],
    issuers: &Issuers,
    context: &Context,
    challenge: &Challenge,
    audience: &str,
    now: UnixSeconds,
    fresh: Fresh,
) -> Result<Presentation, Error> {
    if audience != context.verifier() {
        return Err(Error::WrongAudience);
    }
    challenge.check_for(context, now, types::limits::CLOCK_SKEW_S)?;
    context.check_open(now)?;
    let chosen = choose(credentials, issuers, now)?;
    let [first, _] = &chosen;
    let (epoch, attributes) = (first.epoch, &first.attributes);
    let mut disclosed = BTreeMap::new();
    for demand in context.demands() {
        let value = attributes.value(demand.attribute);
        if !demand.one_of.is_empty() && !demand.one_of.iter().any(|accepted| accepted == value) {
            return Err(Error::Demand { attribute: demand.attribute });
        }
        disclosed.insert(demand.attribute, value.to_owned());
    }

    let (scope, nym) = (context.scope(), secret.nym());
    let point = combine(&[(base_of(&scope.0), nym)]);
    let mut presentation = Presentation {
        version: Presentation::VERSION,
        context: context.digest(),
        nonce: challenge.nonce,
        pseudonym: Pseudonym(write_point(&point)),
        epoch,
        disclosed,
        proofs: chosen.iter().map(|credential| IssuerProof { node: credential.node, proof: Vec::new() }).collect(),
    };
    let header = presentation_header(&presentation, context, challenge);
    let scalars = disclosed_scalars(&presentation);
    let shown = Shown { disclosed: &scalars, presentation_header: &header, nym: Some(Nym::new(&scope.0, point)) };
    let mut messages = known_messages(attributes);
    messages.extend([secret.blind(), nym]);
    let mut nym_bytes = nym.to_be_bytes();
    for (credential, proof) in chosen.into_iter().zip(&mut presentation.proofs) {
        let name = issuers.name(credential.node).header(epoch);
        let key = issuers.key(credential.node);
        let claimed = Claimed { key, header: &name, signature: &credential.signature, messages: &messages };
        let mut stream = fresh.stream("trust-commons/v1/presentation", &[&nym_bytes, &header, &name]);
        proof.proof = prove(interface(), &claimed, &shown, &mut stream).ok_or(Error::Issued { node: credential.node })?;
    }
    messages.zeroize();
    nym_bytes.zeroize();
    Ok(presentation)
}

/// Two credentials by different nodes that say the same of the same epoch, the newest that is accepted now. Always the lowest nodes:
/// everybody who has all three shows the same two.
fn choose<'a>(credentials: &'a [Credential], issuers: &Issuers, now: UnixSeconds) -> Result<[&'a Credential; 2], Error> {
    let mut usable: Vec<&Credential> =
        credentials.iter().filter(|credential| issuers.epochs().accepts(credential.epoch, now)).collect();
    usable.sort_by_key(|credential| (std::cmp::Reverse(credential.epoch), credential.node));
    for (i, first) in usable.iter().enumerate() {
        let same = |other: &&&Credential| {
            other.node != first.node && other.epoch == first.epoch && other.attributes == first.attributes
        };
        if let Some(second) = usable.iter().skip(i + 1).find(same) {
            return Ok([first, second]);
        }
    }
    Err(Error::TooFewCredentials { have: usable.len().min(1) })
}

/// Checks a presentation against the verifier's own context and challenge, at `now`, by the issuers of its roster.
///
/// That a challenge is answered once, and in a one-time context a person admitted once, is for the verifier to remember:
/// [`crate::Gate`] does.
///
/// # Errors
/// [`Error::WrongContext`], [`Error::WrongNonce`], [`Error::Stale`], [`Error::NotOpen`], [`Error::Closed`], [`Error::Epoch`],
/// [`Error::OneIssuer`], [`Error::Disclosure`], [`Error::Demand`], [`Error::Pseudonym`], [`Error::Proof`], [`Error::Signatures`].
pub fn verify(
    presentation: &Presentation,
    context: &Context,
    challenge: &Challenge,
    now: UnixSeconds,
    issuers: &Issuers,
) -> Result<Verified, Error> {
    if presentation.context != context.digest() {
        return Err(Error::WrongContext);
    }
    if presentation.nonce != challenge.nonce {
        return Err(Error::WrongNonce);
    }
    // The verifier reads its own clock, and the challenge is its own: no skew.
    challenge.check_for(context, now, 0)?;
    context.check_open(now)?;
    if !issuers.epochs().accepts(presentation.epoch, now) {
        return Err(Error::Epoch);
    }
    let distinct = presentation.proofs.is_sorted_by(|a, b| a.node < b.node);
    if !distinct || !(2..=3).contains(&presentation.proofs.len()) {
        return Err(Error::OneIssuer);
    }
    check_disclosure(presentation, context)?;
    check_proofs(presentation, context, challenge, issuers)?;
    let Presentation { pseudonym, epoch, disclosed, .. } = presentation.clone();
    Ok(Verified { pseudonym, epoch, disclosed })
}

fn check_disclosure(presentation: &Presentation, context: &Context) -> Result<(), Error> {
    if !presentation.disclosed.keys().eq(context.demands().iter().map(|demand| &demand.attribute)) {
        return Err(Error::Disclosure);
    }
    for (demand, value) in context.demands().iter().zip(presentation.disclosed.values()) {
        if value.len() > limits::ATTRIBUTE_BYTES || (!demand.one_of.is_empty() && !demand.one_of.contains(value)) {
            return Err(Error::Demand { attribute: demand.attribute });
        }
    }
    Ok(())
}

fn check_proofs(
    presentation: &Presentation,
    context: &Context,
    challenge: &Challenge,
    issuers: &Issuers,
) -> Result<(), Error> {
    let scope = context.scope();
    let header = presentation_header(presentation, context, challenge);
    let scalars = disclosed_scalars(presentation);
    let nym = Some(Nym::new(&scope.0, presentation.pseudonym.point()?));
    let shown = Shown { disclosed: &scalars, presentation_header: &header, nym };
    let hidden = interface().points.len() - scalars.len();
    let mut pairings = PairingCheck::default();
    for IssuerProof { node, proof } in &presentation.proofs {
        let name = issuers.name(*node).header(presentation.epoch);
        let fits = proof.len() == proof_len(hidden);
        if !fits || !verify_proof(interface(), issuers.key(*node), &name, proof, &shown, &mut pairings) {
            return Err(Error::Proof { node: *node });
        }
    }
    if pairings.holds() { Ok(()) } else { Err(Error::Signatures) }
}

fn disclosed_scalars(presentation: &Presentation) -> BTreeMap<usize, bls12_381_plus::Scalar> {
    let scalar = |(attribute, value): (&Attribute, &String)| {
        (attribute.position(), message_scalar(interface().api, &attribute.message(value)))
    };
    presentation.disclosed.iter().map(scalar).collect()
}

/// Everything that both proofs are bound to beside the signature itself: so neither can be moved to another verifier, another
/// challenge or beside another proof.
fn presentation_header(presentation: &Presentation, context: &Context, challenge: &Challenge) -> Vec<u8> {
    let nodes: Vec<NodeId> = presentation.proofs.iter().map(|proof| proof.node).collect();
    encode(&(
        "trust-commons/v1/presentation",
        context.verifier(),
        &challenge,
        presentation.pseudonym,
        presentation.epoch,
        nodes,
    ))
}
