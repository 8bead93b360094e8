//! Signed requests: one byte string for all three nodes, and beside it the share sealed to each.
//!
//! Consent is part of the request: purpose-bound, for one use, expiring with it (`types::message::Grant`).

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use mpc::sharing::{SplitRandomness, split};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use types::api::{RequestBody, to_base64};
use types::consent::Purpose;
use types::message::{Action, Grant, Request, Submission, VERSION};
use types::profile::Profile;
use types::roster::Roster;
use types::seal::{SHARE, SealKey, seal};
use types::share::SharePackage;
use types::sign::{Message, Signed, public_key};
use types::{Digest, OperationId, ProfileId, TraceKey, UnixSeconds, limits};
use zeroize::Zeroizing;

use crate::{Error, transport::Call};

/// A template ready to be shared: small integers as two's-complement words (`Matching::input_len` of the profile many).
pub struct Template<'a> {
    /// Which profile.
    pub profile: &'a ProfileId,
    /// The values.
    pub values: &'a [u32],
}

/// What to ask.
pub enum Question<'a> {
    /// Enrol this template; the note goes into the consent.
    Enrol(Template<'a>, &'a str),
    /// Compare this template with the member's own record; the note goes into the consent.
    Verify(Template<'a>, &'a str),
    /// What do the nodes know of me?
    Status,
    /// Erase one record, or all.
    Withdraw(Option<ProfileId>),
    /// Show what is stored.
    Inspect,
    /// What became of this operation?
    Outcome(OperationId),
}

/// A commons as a client sees it: the roster and its digest, computed once.
#[derive(Debug, Clone)]
pub struct Commons {
    roster: Arc<Roster>,
    digest: Digest,
    charter: Digest,
}

impl Commons {
    /// Checks the roster.
    ///
    /// # Errors
    /// [`Error::Types`] with what to change in the roster.
    pub fn new(roster: Roster) -> Result<Self, Error> {
        roster.check()?;
        let (digest, charter) = (roster.digest(), charter::Charter::default_for(&roster).digest());
        Ok(Self { roster: Arc::new(roster), digest, charter })
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
    /// What was signed.
    pub request: Request,
    /// Its digest, which every answer must name.
    pub digest: Digest,
    /// Where it goes.
    pub call: Call,
    /// JSON bodies for nodes 1, 2, 3.
    pub bodies: [Vec<u8>; 3],
    /// Opens the answers of an inspection.
    pub(crate) reply_key: Option<SealKey>,
}

/// The trace key of a device: with it the member finds the log entries about them.
pub fn trace_key(device: &SigningKey) -> TraceKey {
    let secret = Zeroizing::new(device.to_bytes());
    TraceKey::from_random(Digest::of("trust-commons/v1/device-trace", &[&*secret]).0)
}

/// Builds, splits, seals and signs. `seed` must be 32 fresh random bytes; the request lives `lifetime_s` seconds (cut to
/// [`limits::REQUEST_LIFETIME_S`]).
///
/// # Errors
/// [`Error::UnknownProfile`], [`Error::WrongLength`], [`Error::NoteTooLong`]; [`Error::Types`] when a node's seal key is no key.
pub fn prepare(
    commons: &Commons,
    device: &SigningKey,
    question: &Question<'_>,
    now: UnixSeconds,
    lifetime_s: u64,
    seed: &[u8; 32],
) -> Result<Prepared, Error> {
    let mut rng = ChaCha20Rng::from_seed(*seed);
    let expires_at = now + lifetime_s.min(limits::REQUEST_LIFETIME_S);
    let mut operation = [0; 16];
    rng.fill_bytes(&mut operation);

    let mut packages = None;
    let mut reply_key = None;
    let mut submit = |template: &Template<'_>, purpose, note: &str, rng: &mut ChaCha20Rng| {
        let grant = Grant { purpose, note: note.to_owned(), not_before: now, expires_at, uses: 1, charter: commons.charter };
        let (submission, shares) = submission(commons, template, grant, rng)?;
        packages = Some(shares);
        Ok::<_, Error>(submission)
    };
    let (call, action) = match question {
        Question::Enrol(t, note) => (Call::Enrol, Action::Enrol(submit(t, Purpose::deduplication(), note, &mut rng)?)),
        Question::Verify(t, note) => (Call::Verify, Action::Verify(submit(t, Purpose::verification(), note, &mut rng)?)),
        Question::Status => (Call::Status, Action::Status),
        Question::Withdraw(profile) => {
            if let Some(id) = profile {
                commons.profile(id)?;
            }
            (Call::Withdraw, Action::Withdraw { profile: profile.clone() })
        }
        Question::Inspect => {
            let mut random = Zeroizing::new([0; 32]);
            rng.fill_bytes(random.as_mut());
            let key = SealKey::from_random(&random);
            let public = key.public()?;
            reply_key = Some(key);
            (Call::Inspect, Action::Inspect { reply_key: public })
        }
        Question::Outcome(operation) => (Call::Outcome, Action::Outcome { operation: *operation }),
    };
    let trace = trace_key(device);
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
    let signed = Signed::new(request.clone(), device);
    let trace = request.action.is_decided().then_some(&trace);
    let bodies = bodies(commons, &signed, &digest, trace, packages.as_ref(), &mut rng)?;
    Ok(Prepared { request, digest, call, bodies, reply_key })
}

/// Splits the template; the commitments go into what is signed, the packages to the nodes.
fn submission(
    commons: &Commons,
    template: &Template<'_>,
    grant: Grant,
    rng: &mut ChaCha20Rng,
) -> Result<(Submission, [SharePackage; 3]), Error> {
    let profile = commons.profile(template.profile)?;
    let (got, want) = (template.values.len(), profile.matching.input_len());
    if got != want {
        return Err(Error::WrongLength { profile: profile.id.clone(), got, want });
    }
    if grant.note.chars().count() > limits::PURPOSE_CHARS {
        return Err(Error::NoteTooLong { limit: limits::PURPOSE_CHARS });
    }
    let mut random = Zeroizing::new([0; 160]);
    rng.fill_bytes(random.as_mut());
    let split = split(template.values, &SplitRandomness::from_bytes(&random));
    let (profile, profile_digest) = (profile.id.clone(), profile.digest());
    let (commitments, vouchers) = (split.commitments, Vec::new());
    let submission = Submission { profile, profile_digest, commitments, grant, station: None, vouchers };
    Ok((submission, split.packages))
}

fn bodies(
    commons: &Commons,
    signed: &Signed<Request>,
    digest: &Digest,
    trace: Option<&TraceKey>,
    packages: Option<&[SharePackage; 3]>,
    rng: &mut ChaCha20Rng,
) -> Result<[Vec<u8>; 3], Error> {
    let request = to_base64(&signed.to_bytes());
    let trace = trace.map(|key| to_base64(key.secret_bytes()));
    let json = |share: Option<String>| {
        let body = RequestBody { request: request.clone(), share, trace: trace.clone() };
        serde_json::to_vec(&body).expect("strings are always JSON")
    };
    let Some(packages) = packages else {
        let body = json(None);
        return Ok([body.clone(), body.clone(), body]);
    };
    let mut sealed = |package: &SharePackage| {
        let node =
            commons.roster.node(package.node).ok_or_else(|| types::Error::Roster("list nodes 1, 2 and 3".to_owned()))?;
        let plain = Zeroizing::new(package.to_bytes());
        Ok::<_, Error>(json(Some(to_base64(&seal(&node.seal_key.0, SHARE, digest, &plain, rng)?))))
    };
    let [one, two, three] = packages;
    Ok([sealed(one)?, sealed(two)?, sealed(three)?])
}
