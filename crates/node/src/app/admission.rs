//! May this request be acted on? Pure functions of the request, the roster and the time; every refusal says what to do.
//!
//! In scope: everything that needs no state. Out of scope: what the charter says (`facts`), replay and rates (`app`), JSON (`http`).

use types::message::{Action, Former, Request, Submission, VERSION, public_trace};
use types::profile::Profile;
use types::roster::Roster;
use types::seal::{self, SealKey};
use types::share::{SamplePackage, SharePackage};
use types::sign::{Message as _, Signed};
use types::{Digest, NodeId, TraceKey, UnixSeconds, limits};

use mpc::sharing::InputShare;

use super::pending::Sample;
use crate::Error;

/// Checks version, commons, size, signature, times and profile.
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
    let size = match request.action {
        Action::Charter(_) => 0,
        _ => types::encode(request).len(),
    };
    if size > limits::PLAIN_REQUEST_BYTES {
        return Err(types::Error::TooLarge { what: "request", got: size, limit: limits::PLAIN_REQUEST_BYTES }.into());
    }
    signed.verify(&request.device)?;
    check_times(request, now)?;
    if let Some(submission) = request.action.submission() {
        check_profile(&submission.profile, &submission.profile_digest, roster)?;
        if let Some(Former { profile, profile_digest, .. }) = &submission.former {
            check_profile(profile, profile_digest, roster)?;
        }
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
    let trace = match request.action.is_operators() {
        true => public_trace(&request.operation),
        false => trace.ok_or(Error::TraceMissing)?,
    };
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

fn check_profile(id: &types::ProfileId, digest: &Digest, roster: &Roster) -> Result<(), Error> {
    let profile = roster.profile(id).ok_or_else(|| unknown_profile(id, roster))?;
    match profile.digest() == *digest {
        true => Ok(()),
        false => Err(Error::ProfileMismatch { profile: profile.id.clone() }),
    }
}

fn unknown_profile(profile: &types::ProfileId, roster: &Roster) -> Error {
    let known: Vec<&str> = roster.profiles.iter().map(|profile| profile.id.as_str()).collect();
    Error::UnknownProfile { profile: profile.clone(), known: known.join(", ") }
}

/// Opens the sealed shares of `request` and checks them against the signed commitments. Takes milliseconds.
///
/// # Errors
/// [`Error::Value`] when they were not sealed for this node and request, [`Error::BadShare`].
pub(crate) fn open_sample(
    request: &Request,
    roster: &Roster,
    node: NodeId,
    key: &SealKey,
    sealed: &[u8],
) -> Result<Sample, Error> {
    let Some(submission) = request.action.submission() else { return Err(Error::ShareUnexpected) };
    if sealed.len() > limits::SEALED_SHARE_BYTES {
        let (what, got, limit) = ("sealed share", sealed.len(), limits::SEALED_SHARE_BYTES);
        return Err(types::Error::TooLarge { what, got, limit }.into());
    }
    let plain = zeroize::Zeroizing::new(seal::open(key, seal::SHARE, &request.digest(), sealed)?);
    let packages = SamplePackage::from_bytes(&plain)?;
    let open = |id: &types::ProfileId, package: &SharePackage, commitments: &[Digest; 3]| {
        let profile: &Profile = roster.profile(id).ok_or_else(|| unknown_profile(id, roster))?;
        InputShare::open(package, node, profile.matching.input_len(), commitments)
            .map_err(|error| Error::BadShare { reason: error.to_string() })
    };
    let Submission { profile, commitments, former, .. } = submission;
    let input = open(profile, &packages.template, commitments)?;
    let former = match (former, &packages.former) {
        (None, None) => None,
        (Some(Former { profile, commitments, .. }), Some(package)) => {
            Some((profile.clone(), open(profile, package, commitments)?))
        }
        _ => return Err(Error::BadShare { reason: "it has not the templates that the request names".to_owned() }),
    };
    Ok(Sample { profile: profile.clone(), input, former })
}
