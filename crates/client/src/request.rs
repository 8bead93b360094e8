//! Signed requests: one byte string for all three nodes, and beside it the share sealed to each.
//!
//! Consent is part of the request: purpose-bound, for one use, expiring with it (`types::message::Grant`), or a standing grant
//! with terms of its own. Either names the charter that was read.

use std::sync::Arc;

use credential::{Fresh, MemberSecret, escrow};
use ed25519_dalek::SigningKey;
use mpc::sharing::{Split, SplitRandomness, split};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use types::api::{RequestBody, to_base64};
use types::consent::{
    Answer, Ask, Narrowing, Operation, Purpose, Reply, SignedCharter, StandingGrant, StationSeal, Terms, Use, Voucher,
};
use types::message::{Action, Former, Grant, Request, Submission, VERSION};
use types::persona::{Binding, Claim};
use types::profile::Profile;
use types::recovery::{Approval, RecoveryStart, SetGuardians};
use types::roster::Roster;
use types::seal::{ESCROW, SHARE, SealKey, seal};
use types::share::SamplePackage;
use types::sign::{Message, Signed, public_key};
use types::{
    AskId, Digest, Epoch, GrantId, NodeId, OperationId, PartyId, ProfileId, RecoveryName, SubjectId, TraceKey, UnixSeconds,
    limits,
};
use zeroize::Zeroizing;

use crate::guardian::release_key;
use crate::{Error, transport::Call};

/// A template ready to be shared: small integers as two's-complement words (`Matching::input_len` of the profile many).
#[derive(Clone, Copy)]
pub struct Template<'a> {
    /// Which profile.
    pub profile: &'a ProfileId,
    /// The values.
    pub values: &'a [u32],
}

/// A template with what travels beside it.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    /// The template.
    pub template: Template<'a>,
    /// The template of the same sample in the profile that this one replaces: `charter::Charter::modality` says whether it does.
    pub former: Option<Template<'a>>,
    /// A note for the consent.
    pub note: &'a str,
    /// Key of the capture station that took it, where there is one: it seals the sample.
    pub station: Option<&'a SigningKey>,
    /// Who vouches for a newcomer.
    pub vouchers: &'a [Signed<Voucher>],
}

impl<'a> Sample<'a> {
    /// Taken with the member's own device, vouched for by nobody.
    pub fn new(template: Template<'a>, note: &'a str) -> Self {
        Self { template, former: None, note, station: None, vouchers: &[] }
    }
}

/// What to ask.
pub enum Question<'a> {
    /// Enrol this template.
    Enrol(Sample<'a>),
    /// Compare this template with the member's own record.
    Verify(Sample<'a>),
    /// Replace the member's own record of this profile by this template.
    Renew(Sample<'a>),
    /// What do the nodes know of me?
    Status,
    /// Erase one record, or all.
    Withdraw(Option<ProfileId>),
    /// Show what is stored.
    Inspect,
    /// What became of this operation?
    Outcome(OperationId),
    /// Give a standing grant.
    Grant(Terms),
    /// Make one smaller.
    Narrow(Narrowing),
    /// End one.
    Revoke(GrantId),
    /// Show an ask whose id came by another way.
    See(AskId),
    /// Say yes to an ask, to these terms or narrower, with a sample where they need one.
    Approve(AskId, Terms, Option<Sample<'a>>),
    /// Say no.
    Refuse(AskId),
    /// Stop everything.
    ShieldUp,
    /// Let these grants be used again; all others end.
    ShieldDown(Vec<GrantId>),
    /// What was decided about me after this batch?
    Events(u64),
    /// As a relying party: ask a member.
    Ask {
        /// By the name by which the party knows them, or whoever gets the ask's id.
        subject: Option<SubjectId>,
        /// What would be granted.
        terms: Terms,
        /// No answer after.
        answer_by: UnixSeconds,
    },
    /// As a relying party: use a standing grant.
    Use {
        /// Who.
        party: PartyId,
        /// Which.
        grant: GrantId,
        /// What for.
        purpose: Purpose,
        /// For a verification.
        sample: Option<Sample<'a>>,
    },
    /// Bring the next charter.
    AdoptCharter(SignedCharter),
    /// These shares stand guard from now on.
    SetGuardians(SetGuardians),
    /// As a new device: recover the member whom these approvals name, with a sample where there is one.
    StartRecovery(RecoveryName, Vec<Signed<Approval>>, Option<Sample<'a>>),
    /// As the present device: say no.
    VetoRecovery(OperationId),
    /// As the new device: finish.
    FinishRecovery(OperationId),
    /// Where do recoveries of this name stand?
    Recovery(RecoveryName),
    /// As the new device: what is kept for me?
    Release(OperationId),
    /// Bind my membership to this secret, for good.
    Bind(&'a MemberSecret),
    /// Sign my credential of this epoch, with what is vouched for about me.
    Issue(Epoch, &'a [Signed<Claim>]),
}

impl Question<'_> {
    /// Whether what is signed names a charter, so that the one in force must be known first.
    pub fn names_charter(&self) -> bool {
        match self {
            Self::Enrol(_)
            | Self::Verify(_)
            | Self::Renew(_)
            | Self::Grant(_)
            | Self::Approve(..)
            | Self::Refuse(_)
            | Self::Ask { .. } => true,
            Self::Use { sample, .. } | Self::StartRecovery(_, _, sample) => sample.is_some(),
            _ => false,
        }
    }
}

/// A commons as a client sees it: the roster and its digest, computed once.
#[derive(Debug, Clone)]
pub struct Commons {
    roster: Arc<Roster>,
    digest: Digest,
}

impl Commons {
    /// Checks the roster.
    ///
    /// # Errors
    /// [`Error::Types`] with what to change in the roster.
    pub fn new(roster: Roster) -> Result<Self, Error> {
        roster.check()?;
        let digest = roster.digest();
        Ok(Self { roster: Arc::new(roster), digest })
    }
    /// The roster.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }
    /// The roster's digest: the name of this commons in every message.
    pub fn digest(&self) -> Digest {
        self.digest
    }
    /// The profile `id`.
    ///
    /// # Errors
    /// [`Error::UnknownProfile`].
    pub fn profile(&self, id: &ProfileId) -> Result<&Profile, Error> {
        self.roster.profile(id).ok_or_else(|| {
            let known: Vec<&str> = self.roster.profiles.iter().map(|p| p.id.as_str()).collect();
            Error::UnknownProfile { profile: id.clone(), known: known.join(", ") }
        })
    }
}

/// A request as it goes out, with what is needed to check the answers.
pub struct Prepared {
    /// What was signed, with the signature.
    pub signed: Signed<Request>,
    /// Digest of the request, which every answer must name.
    pub digest: Digest,
    /// Where it goes.
    pub call: Call,
    /// JSON bodies for nodes 1, 2, 3.
    pub bodies: [Vec<u8>; 3],
    /// Opens the answers of an inspection, or of a release.
    pub(crate) reply_key: Option<SealKey>,
    /// Under which name a relying party must learn of the member, where this approves an ask.
    pub(crate) subject: Option<SubjectId>,
}

impl Prepared {
    /// What was signed.
    pub fn request(&self) -> &Request {
        &self.signed.message
    }
}

/// The trace key of a device: with it the member finds the log entries about them.
pub fn trace_key(device: &SigningKey) -> TraceKey {
    let secret = Zeroizing::new(device.to_bytes());
    TraceKey::from_random(Digest::of("trust-commons/v1/device-trace", &[&*secret]).0)
}

/// Builds, splits, seals and signs. `charter` is the digest of the one in force, for questions that name it. `seed` must be 32
/// fresh random bytes; the request lives `lifetime_s` seconds (cut to [`limits::REQUEST_LIFETIME_S`]).
///
/// # Errors
/// [`Error::UnknownProfile`], [`Error::WrongLength`], [`Error::NoteTooLong`]; [`Error::Types`] when a node's seal key is no key.
pub fn prepare(
    commons: &Commons,
    charter: Digest,
    device: &SigningKey,
    question: Question<'_>,
    now: UnixSeconds,
    lifetime_s: u64,
    seed: &[u8; 32],
) -> Result<Prepared, Error> {
    prepare_as(commons, charter, (device, trace_key(device)), question, now, lifetime_s, seed)
}

/// As [`prepare`], with the trace key of a member whose device is not their first.
pub(crate) fn prepare_as(
    commons: &Commons,
    charter: Digest,
    (device, trace): (&SigningKey, TraceKey),
    question: Question<'_>,
    now: UnixSeconds,
    lifetime_s: u64,
    seed: &[u8; 32],
) -> Result<Prepared, Error> {
    let mut rng = ChaCha20Rng::from_seed(*seed);
    let expires_at = now + lifetime_s.min(limits::REQUEST_LIFETIME_S);
    let mut operation = [0; 16];
    rng.fill_bytes(&mut operation);

    let mut draft = Draft { commons, charter, now, expires_at, rng, parcels: None, reply_key: None, subject: None };
    let (call, action) = draft.action(question, device, &trace)?;
    let Draft { mut rng, parcels, reply_key, subject, .. } = draft;
    let request = Request {
        version: VERSION,
        commons: commons.digest,
        operation: OperationId(operation),
        device: public_key(device),
        issued_at: now,
        expires_at,
        trace: trace.commitment(),
        action,
    };
    let digest = request.digest();
    let trace = request.action.is_decided().then_some(&trace);
    let signed = Signed::new(request, device);
    let bodies = bodies(commons, &signed, &digest, trace, parcels.as_ref(), &mut rng)?;
    Ok(Prepared { signed, digest, call, bodies, reply_key, subject })
}

/// What is sealed to each node beside the request.
#[expect(clippy::large_enum_variant, reason = "one at a time, and nearly always the larger one")]
enum Parcels {
    /// A sample's shares.
    Template([SamplePackage; 3]),
    /// The shares of the member's secret.
    Escrow([escrow::Share; 3]),
}

impl Parcels {
    /// For nodes 1, 2 and 3.
    fn plain(&self) -> (&'static str, [Zeroizing<Vec<u8>>; 3]) {
        match self {
            Self::Template(packages) => (SHARE, packages.each_ref().map(|package| Zeroizing::new(package.to_bytes()))),
            Self::Escrow(shares) => (ESCROW, shares.each_ref().map(|share| Zeroizing::new(share.to_bytes().to_vec()))),
        }
    }
}

/// A request in the making.
struct Draft<'c> {
    commons: &'c Commons,
    charter: Digest,
    now: UnixSeconds,
    expires_at: UnixSeconds,
    rng: ChaCha20Rng,
    parcels: Option<Parcels>,
    reply_key: Option<SealKey>,
    subject: Option<SubjectId>,
}

impl<'c> Draft<'c> {
    fn action(&mut self, question: Question<'_>, device: &SigningKey, trace: &TraceKey) -> Result<(Call, Action), Error> {
        Ok(match question {
            Question::Enrol(sample) => (Call::Enrol, Action::Enrol(self.submit(&sample, Purpose::deduplication())?)),
            Question::Verify(sample) => (Call::Verify, Action::Verify(self.submit(&sample, Purpose::verification())?)),
            Question::Renew(sample) => (Call::Renew, Action::Renew(self.submit(&sample, Purpose::deduplication())?)),
            Question::Status => (Call::Status, Action::Status),
            Question::Withdraw(profile) => {
                if let Some(id) = &profile {
                    self.commons.profile(id)?;
                }
                (Call::Withdraw, Action::Withdraw { profile })
            }
            Question::Inspect => (Call::Inspect, self.inspect()?),
            Question::Outcome(operation) => (Call::Outcome, Action::Outcome { operation }),
            Question::Grant(terms) => {
                let terms = self.terms(terms)?;
                (Call::Grant, Action::Grant(StandingGrant { charter: self.charter, terms }))
            }
            Question::Narrow(narrowing) => (Call::Narrow, Action::Narrow(narrowing)),
            Question::Revoke(grant) => (Call::Revoke, Action::Revoke { grant }),
            Question::See(ask) => (Call::See, Action::See { ask }),
            Question::Approve(ask, terms, sample) => {
                let terms = self.terms(terms)?;
                let submission = sample.map(|sample| self.submit(&sample, terms.purpose.clone())).transpose()?;
                self.subject = Some(trace.subject(&terms.party));
                (Call::Answer, self.answer(ask, Reply::Approve { terms, submission }))
            }
            Question::Refuse(ask) => (Call::Answer, self.answer(ask, Reply::Refuse)),
            Question::ShieldUp => (Call::ShieldUp, Action::ShieldUp),
            Question::ShieldDown(restore) => (Call::ShieldDown, Action::ShieldDown { restore }),
            Question::Events(after_batch) => (Call::Events, Action::Events { after_batch }),
            Question::Ask { subject, terms, answer_by } => {
                let terms = self.terms(terms)?;
                (Call::Ask, Action::Ask(Ask { charter: self.charter, subject, terms, answer_by }))
            }
            Question::Use { party, grant, purpose, sample } => {
                let submission = sample.map(|sample| self.submit(&sample, purpose.clone())).transpose()?;
                (Call::Use, Action::Use(Use { party, grant, purpose, submission }))
            }
            Question::AdoptCharter(signed) => (Call::AdoptCharter, Action::Charter(signed)),
            Question::SetGuardians(set) => (Call::SetGuardians, Action::SetGuardians(set)),
            Question::StartRecovery(name, approvals, sample) => {
                let submission = sample.map(|sample| self.submit(&sample, Purpose::verification())).transpose()?;
                let reply_key = release_key(device).public()?;
                (Call::StartRecovery, Action::StartRecovery(RecoveryStart { name, approvals, reply_key, submission }))
            }
            Question::VetoRecovery(recovery) => (Call::VetoRecovery, Action::VetoRecovery { recovery }),
            Question::FinishRecovery(recovery) => (Call::FinishRecovery, Action::FinishRecovery { recovery }),
            Question::Recovery(name) => (Call::Recovery, Action::Recovery { name }),
            Question::Release(recovery) => {
                self.reply_key = Some(release_key(device));
                (Call::Release, Action::Release { recovery })
            }
            Question::Bind(secret) => (Call::Bind, Action::Bind(self.bind(secret))),
            Question::Issue(epoch, claims) => (Call::Issue, Action::Issue { epoch, claims: claims.to_vec() }),
        })
    }

    fn answer(&self, ask: AskId, reply: Reply) -> Action {
        Action::Answer(Answer { ask, charter: self.charter, reply })
    }

    /// The proof goes into what is signed, the shares of the secret to the nodes.
    fn bind(&mut self, secret: &MemberSecret) -> Binding {
        let (shares, slope) = escrow::split(secret, self.fresh());
        let request = secret.request(self.fresh());
        self.parcels = Some(Parcels::Escrow(shares));
        Binding { commitment: secret.commitment().digest(), request: request.to_bytes(), slope: slope.to_bytes() }
    }

    fn fresh(&mut self) -> Fresh {
        let mut random = [0; 32];
        self.rng.fill_bytes(&mut random);
        Fresh::new(random)
    }

    fn inspect(&mut self) -> Result<Action, Error> {
        let mut random = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(random.as_mut());
        let key = SealKey::from_random(&random);
        let reply_key = key.public()?;
        self.reply_key = Some(key);
        Ok(Action::Inspect { reply_key })
    }

    /// What no charter allows need not travel.
    fn terms(&self, terms: Terms) -> Result<Terms, Error> {
        note_fits(&terms.note)?;
        match (&terms.profile, terms.operation) {
            (Some(profile), Operation::Verification) => drop(self.commons.profile(profile)?),
            (None, Operation::Membership) => {}
            _ => return Err(Error::ProfileOfTerms { operation: terms.operation }),
        }
        Ok(terms)
    }

    /// Splits the template; the commitments go into what is signed, the packages to the nodes.
    fn submit(&mut self, sample: &Sample<'_>, purpose: Purpose) -> Result<Submission, Error> {
        note_fits(sample.note)?;
        let (profile, parts) = self.split(&sample.template)?;
        let older = sample.former.as_ref().map(|template| self.split(template)).transpose()?;
        let (note, not_before, expires_at) = (sample.note.to_owned(), self.now, self.expires_at);
        let grant = Grant { purpose, note, not_before, expires_at, uses: 1, charter: self.charter };
        let (profile, profile_digest, commitments) = (profile.id.clone(), profile.digest(), parts.commitments);
        let former = older.as_ref().map(|(profile, parts)| {
            let (profile, profile_digest) = (profile.id.clone(), profile.digest());
            Former { profile, profile_digest, commitments: parts.commitments }
        });
        let seal = |key: &SigningKey| {
            let (commons, station, profile, former) =
                (self.commons.digest, public_key(key), profile.clone(), former.clone());
            Signed::new(StationSeal { commons, station, profile, commitments, former, at: self.now }, key)
        };
        let station = sample.station.map(seal);
        let mut of_older = older.map_or([None, None, None], |(_, parts)| parts.packages.map(Some)).into_iter();
        let package = |template| SamplePackage { template, former: of_older.next().flatten() };
        self.parcels = Some(Parcels::Template(parts.packages.map(package)));
        Ok(Submission { profile, profile_digest, commitments, former, grant, station, vouchers: sample.vouchers.to_vec() })
    }

    fn split(&mut self, template: &Template<'_>) -> Result<(&'c Profile, Split), Error> {
        let profile = self.commons.profile(template.profile)?;
        let (got, want) = (template.values.len(), profile.matching.input_len());
        if got != want {
            return Err(Error::WrongLength { profile: profile.id.clone(), got, want });
        }
        let mut random = Zeroizing::new([0; 160]);
        self.rng.fill_bytes(random.as_mut());
        Ok((profile, split(template.values, &SplitRandomness::from_bytes(&random))))
    }
}

fn note_fits(note: &str) -> Result<(), Error> {
    match note.chars().count() > limits::PURPOSE_CHARS {
        true => Err(Error::NoteTooLong { limit: limits::PURPOSE_CHARS }),
        false => Ok(()),
    }
}

fn bodies(
    commons: &Commons,
    signed: &Signed<Request>,
    digest: &Digest,
    trace: Option<&TraceKey>,
    parcels: Option<&Parcels>,
    rng: &mut ChaCha20Rng,
) -> Result<[Vec<u8>; 3], Error> {
    let request = to_base64(&signed.to_bytes());
    let trace = trace.map(|key| to_base64(key.secret_bytes()));
    let json = |share: Option<String>| {
        let body = RequestBody { request: request.clone(), share, trace: trace.clone() };
        serde_json::to_vec(&body).expect("strings are always JSON")
    };
    let Some(parcels) = parcels else {
        let body = json(None);
        return Ok([body.clone(), body.clone(), body]);
    };
    let (purpose, plain) = parcels.plain();
    let mut sealed = |node: NodeId, plain: &[u8]| {
        let node = commons.roster.node(node).ok_or_else(|| types::Error::Roster("list nodes 1, 2 and 3".to_owned()))?;
        Ok::<_, Error>(json(Some(to_base64(&seal(&node.seal_key.0, purpose, digest, plain, rng)?))))
    };
    let ([one, two, three], [a, b, c]) = (NodeId::ALL, plain);
    Ok([sealed(one, &a)?, sealed(two, &b)?, sealed(three, &c)?])
}
