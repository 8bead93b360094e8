//! What this node knows of the asking member or relying party, signed; for an inspection with a sample of the stored bytes, and sealed.
//!
//! The sample shows every third coordinate pair, offset by the node's number: real bytes that people can test for
//! randomness, while the samples of all three nodes together never hold two shares of one coordinate.

use borsh::BorshSerialize;
use sha2::{Digest as _, Sha256};
use types::consent::AskStatement;
use types::message::{
    Action, Event, MemberStatement, PartyStatement, RecordStatement, Request, ShareSample, SignedStatement, Statement,
    VERSION,
};
use types::persona::SecretShare;
use types::recovery::{GuardedStatement, Released};
use types::sign::Message as _;
use types::{Digest, NodeId, UnixSeconds, limits, seal};

use super::facts::{Shields, State};
use super::personas;
use super::rules::Rules;
use super::sequencer::Core;
use crate::Error;
use crate::store::MemberRow;

/// Bytes of grants, and of asks, in one statement.
const LIST_BYTES: usize = limits::ANSWER_BYTES * 3 / 8;

/// The bytes to send to the member or relying party.
pub(super) async fn answer(core: &Core, request: &Request) -> Result<Vec<u8>, Error> {
    let reply_key = match &request.action {
        Action::Inspect { reply_key } => Some(reply_key),
        _ => None,
    };
    let digest = request.digest();
    let (config, rules) = (&core.config, core.rules());
    let now = config.clock.now();
    let member = match request.action {
        // Whoever looks at one ask, or at their past, or renews, needs not all the rest.
        Action::See { .. }
        | Action::Events { .. }
        | Action::Recovery { .. }
        | Action::Release { .. }
        | Action::Issue { .. } => None,
        _ => member(core, request, reply_key.is_some(), now).await?,
    };
    let statement = Statement {
        version: VERSION,
        commons: core.commons,
        node: config.node,
        request: digest,
        at: now,
        batch: core.store.chain().await?.committed,
        charter: rules.charter.digest(),
        member,
        party: party(core, &rules, request, now).await?,
        ask: ask(core, &rules, request, now).await?,
        events: events(core, request).await?,
        guarded: guarded(core, request, now).await?,
        released: None,
        replaced: core.store.replaced(&request.device).await?,
        issued: personas::issue(core, &rules, request, now).await?,
    };
    let (statement, to) = release(core, &rules, request, statement).await?;
    let bytes = SignedStatement::new(statement, &config.signing_key).to_bytes();
    match reply_key {
        None => match to {
            Some(key) => Ok(seal::seal(&key, seal::RELEASE, &digest, &bytes, &mut generator()?)?),
            None => Ok(bytes),
        },
        Some(key) => Ok(seal::seal(key, seal::INSPECTION, &digest, &bytes, &mut generator()?)?),
    }
}

/// Answer to `See`.
async fn ask(core: &Core, rules: &Rules, request: &Request, now: UnixSeconds) -> Result<Option<AskStatement>, Error> {
    if !matches!(request.action, Action::See { .. }) {
        return Ok(None);
    }
    let state = State::of(core, rules);
    let judged = state.judge(request, None, Shields::Known, now).await?;
    Ok(judged.ask.map(|row| row.statement))
}

/// Answer to `Events`.
async fn events(core: &Core, request: &Request) -> Result<Vec<Event>, Error> {
    let Action::Events { after_batch } = request.action else { return Ok(Vec::new()) };
    let member = core.store.member(&request.device).await?.ok_or(Error::UnknownMember)?;
    core.store.events(&member.member, after_batch).await
}

/// Answer to `Recovery`.
async fn guarded(core: &Core, request: &Request, now: UnixSeconds) -> Result<Option<GuardedStatement>, Error> {
    let Action::Recovery { name } = &request.action else { return Ok(None) };
    match core.store.guarded_by(name).await? {
        Some(member) => core.store.guarded(&member, now).await,
        None => Ok(None),
    }
}

/// Answer to `Release`: what is kept for the member, and the key of the new device to which it is sealed. Decided by what this node
/// has committed: the recovery is finished, and it made this device the member's.
async fn release(
    core: &Core,
    rules: &Rules,
    request: &Request,
    statement: Statement,
) -> Result<(Statement, Option<[u8; 32]>), Error> {
    let Action::Release { recovery } = &request.action else { return Ok((statement, None)) };
    let judged = State::of(core, rules).judge(request, None, Shields::Known, statement.at).await?;
    let row = judged.concerned.ok_or(Error::UnknownMember)?;
    let (_, key) = core.store.recovery(recovery).await?.ok_or(Error::UnknownMember)?;
    let binding = core.store.binding(&row.member).await?;
    let share = binding.map(|binding| SecretShare(binding.share.to_bytes()));
    let released = Released { member: row.member, trace: row.trace, share };
    Ok((Statement { released: Some(released), ..statement }, Some(key)))
}

/// For a relying party of the charter in force: its own side.
async fn party(core: &Core, rules: &Rules, request: &Request, now: UnixSeconds) -> Result<Option<PartyStatement>, Error> {
    let party = rules.charter.document().parties.iter().find(|party| party.key == request.device);
    let (Some(party), Action::Status) = (party, &request.action) else { return Ok(None) };
    let grants = core.store.grants_to(&party.id, now).await?.into_iter().map(|row| row.statement);
    let asks = core.store.asks_by(&party.id, now).await?.into_iter().map(|row| row.statement);
    Ok(Some(PartyStatement { grants: fitting(grants), asks: fitting(asks) }))
}

/// As many as fit beside one another into an answer.
fn fitting<T: BorshSerialize>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut room = LIST_BYTES;
    all.take_while(|item| {
        let size = types::encode(item).len();
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    })
    .collect()
}

async fn member(
    core: &Core,
    request: &Request,
    with_samples: bool,
    now: UnixSeconds,
) -> Result<Option<MemberStatement>, Error> {
    // A batch that is committed meanwhile may move a record to another slot: then everything is read again.
    loop {
        let Some(member) = core.store.member(&request.device).await? else { return Ok(None) };
        if let Some(records) = records(core, &member, with_samples).await? {
            return told(core, request, member, records, now).await.map(Some);
        }
    }
}

/// The records, and the consent that stands.
async fn told(
    core: &Core,
    request: &Request,
    member: MemberRow,
    records: Vec<RecordStatement>,
    now: UnixSeconds,
) -> Result<MemberStatement, Error> {
    let metadata_bytes = core.store.metadata_bytes(&request.device).await?
        + core.store.consent_bytes(&member.member).await?
        + core.store.recovery_bytes(&member.member).await?;
    let guarded = core.store.guarded(&member.member, now).await?;
    let former = core.store.former_devices(&member.member).await?;
    // A shield that only this node knows holds here all the same: nothing of the member's can be used, nobody asks.
    let shield = member.shield.into_iter().chain(member.unsettled).min();
    let grants = core.store.grants(&member.member, now).await?.into_iter().map(|row| row.statement);
    let asks = match member.unsettled {
        Some(_) => Vec::new(),
        None => core.store.asks_of(&member.member, now).await?,
    };
    let (grants, asks) = (fitting(grants), fitting(asks.into_iter().map(|row| row.statement)));
    let last_issue = core.store.binding(&member.member).await?.and_then(|binding| binding.last_issue);
    let refused = core.store.refusals(&member.member).await?;
    let MemberRow { member, since, bound, .. } = member;
    Ok(MemberStatement {
        member,
        since,
        records,
        metadata_bytes,
        shield,
        grants,
        asks,
        guarded,
        former,
        bound,
        last_issue,
        refused,
    })
}

/// Nothing when a record is not where it was.
async fn records(core: &Core, member: &MemberRow, with_samples: bool) -> Result<Option<Vec<RecordStatement>>, Error> {
    let mut records = Vec::with_capacity(member.records.len());
    for row in &member.records {
        let sample = match with_samples {
            true => match core.store.share(&member.member, row).await? {
                Some(values) => Some(sample(core, &values)),
                None => return Ok(None),
            },
            false => None,
        };
        records.push(RecordStatement {
            profile: row.share.profile.clone(),
            batch: row.batch,
            since: row.since,
            share_bytes: core.store.share_bytes(&row.share.profile),
            sample,
        });
    }
    Ok(Some(records))
}

fn sample(core: &Core, values: &[u16]) -> ShareSample {
    let bytes = zeroize::Zeroizing::new(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    let digest = Digest(Sha256::digest(&*bytes).into());
    ShareSample { values: third(values, core.config.node), digest }
}

/// Pairs `p` with `p % 3 == node.index()`.
fn third(values: &[u16], node: NodeId) -> Vec<u16> {
    values.as_chunks::<2>().0.iter().skip(node.index()).step_by(3).flatten().copied().collect()
}

/// A generator seeded by the system, for one seal.
fn generator() -> Result<impl rand_core::CryptoRng, Error> {
    use rand_chacha::rand_core::SeedableRng;
    let mut seed = zeroize::Zeroizing::new([0u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| Error::Random)?;
    Ok(rand_chacha::ChaCha20Rng::from_seed(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_three_nodes_never_meet() {
        let values: Vec<u16> = (0..32).collect();
        let samples = NodeId::ALL.map(|node| third(&values, node));
        let mut all: Vec<u16> = samples.concat();
        all.sort_unstable();
        assert_eq!(all, values);
        assert_eq!(samples[1][..4], [2, 3, 8, 9]);
    }
}
