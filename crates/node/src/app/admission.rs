//! May this request be acted on? Pure functions of the request, the roster and the time; every refusal says what to do.
//!
//! In scope: everything that needs no state. Out of scope: replay, membership and rates (`app`), size and JSON (`http`).

use types::consent::Purpose;
use types::message::{Action, Grant, Request, Submission, VERSION};
use types::profile::Profile;
use types::roster::Roster;
use types::seal::{self, SealKey};
use types::share::SharePackage;
use types::sign::{Message as _, Signed};
use types::{Digest, NodeId, TraceKey, UnixSeconds, limits};

use mpc::sharing::InputShare;

use crate::Error;

/// Checks version, commons, signature, times, profile and consent.
///
/// # Errors
/// One variant per rule, in this order.
pub(crate) fn check_request(
    signed: &Signed<Request>,
    roster: &Roster,
    commons: &Digest,
    now: UnixSeconds,
) -> Result<(), Error> {
    let request = &signed.message;
    if request.version != VERSION {
        return Err(types::Error::Version { what: "request", got: request.version, known: VERSION }.into());
    }
    if request.commons != *commons {
        return Err(Error::WrongCommons);
    }
    signed.verify(&request.device)?;
    check_times(request, now)?;
    if let Some(submission) = request.action.submission() {
        check_profile(submission, roster)?;
        check_grant(&submission.grant, &request.action, now)?;
    }
    if let Action::Withdraw { profile: Some(profile) } = &request.action
        && roster.profile(profile).is_none()
    {
        return Err(unknown_profile(profile, roster));
    }
    Ok(())
}

/// The key that marks the log entry of what is decided: the one to which the signed request commits.
///
/// # Errors
/// [`Error::TraceMissing`], [`Error::BadTrace`].
pub(crate) fn check_trace(request: &Request, trace: Option<TraceKey>) -> Result<TraceKey, Error> {
    let trace = trace.ok_or(Error::TraceMissing)?;
    if trace.commitment() == request.trace { Ok(trace) } else { Err(Error::BadTrace) }
}

fn check_times(request: &Request, now: UnixSeconds) -> Result<(), Error> {
    if request.issued_at > now.saturating_add(limits::CLOCK_SKEW_S) {
        return Err(Error::NotYetValid);
    }
    let lifetime = request.expires_at.checked_sub(request.issued_at).ok_or(Error::Expired)?;
    if lifetime > limits::REQUEST_LIFETIME_S {
        return Err(Error::LivesTooLong { limit_s: limits::REQUEST_LIFETIME_S });
    }
    match request.expires_at.saturating_add(limits::CLOCK_SKEW_S) < now {
        true => Err(Error::Expired),
        false => Ok(()),
    }
}

/// Until when an operation id must be remembered so that its request cannot be used twice.
pub(crate) fn remember_until(request: &Request) -> UnixSeconds {
    // One skew for the expiry, one for a clock that is set back.
    request.expires_at.saturating_add(2 * limits::CLOCK_SKEW_S)
}

fn check_profile(submission: &Submission, roster: &Roster) -> Result<(), Error> {
    let profile = roster.profile(&submission.profile).ok_or_else(|| unknown_profile(&submission.profile, roster))?;
    match profile.digest() == submission.profile_digest {
        true => Ok(()),
        false => Err(Error::ProfileMismatch { profile: profile.id.clone() }),
    }
}

fn unknown_profile(profile: &types::ProfileId, roster: &Roster) -> Error {
    let known: Vec<&str> = roster.profiles.iter().map(|profile| profile.id.as_str()).collect();
    Error::UnknownProfile { profile: profile.clone(), known: known.join(", ") }
}

fn check_grant(grant: &Grant, action: &Action, now: UnixSeconds) -> Result<(), Error> {
    let fits = match action {
        Action::Enrol(_) => grant.purpose == Purpose::deduplication(),
        Action::Verify(_) => grant.purpose == Purpose::verification(),
        _ => false,
    };
    let rule = if !fits {
        "its purpose is for another action"
    } else if grant.uses != 1 {
        "a grant is for exactly one use"
    } else if grant.note.chars().count() > limits::PURPOSE_CHARS {
        "its note is too long"
    } else if grant.not_before > now.saturating_add(limits::CLOCK_SKEW_S) {
        "it is not valid yet"
    } else if grant.expires_at.saturating_add(limits::CLOCK_SKEW_S) < now {
        "it has expired"
    } else {
        return Ok(());
    };
    Err(Error::Consent { rule })
}

/// Opens the sealed share of `request` and checks it against the signed commitments. Takes milliseconds.
///
/// # Errors
/// [`Error::Value`] when it was not sealed for this node and request, [`Error::BadShare`].
pub(crate) fn open_share(
    request: &Request,
    profile: &Profile,
    node: NodeId,
    key: &SealKey,
    sealed: &[u8],
) -> Result<InputShare, Error> {
    let Some(submission) = request.action.submission() else { return Err(Error::ShareUnexpected) };
    if sealed.len() > limits::SEALED_SHARE_BYTES {
        let (what, got, limit) = ("sealed share", sealed.len(), limits::SEALED_SHARE_BYTES);
        return Err(types::Error::TooLarge { what, got, limit }.into());
    }
    let plain = zeroize::Zeroizing::new(seal::open(key, seal::SHARE, &request.digest(), sealed)?);
    let package = SharePackage::from_bytes(&plain)?;
    InputShare::open(&package, node, profile.matching.input_len(), &submission.commitments)
        .map_err(|error| Error::BadShare { reason: error.to_string() })
}
