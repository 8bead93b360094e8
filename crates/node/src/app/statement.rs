//! What this node knows of the asking member, signed; for an inspection with a sample of the stored bytes, and sealed.
//!
//! The sample shows every third coordinate pair, offset by the node's number: real bytes that people can test for
//! randomness, while the samples of all three nodes together never hold two shares of one coordinate.

use sha2::{Digest as _, Sha256};
use types::message::{Action, MemberStatement, RecordStatement, Request, ShareSample, SignedStatement, Statement, VERSION};
use types::sign::Message as _;
use types::{Digest, NodeId, seal};

use super::sequencer::Core;
use crate::Error;
use crate::store::MemberRow;

/// The bytes to send to the member.
pub(super) async fn answer(core: &Core, request: &Request) -> Result<Vec<u8>, Error> {
    let reply_key = match &request.action {
        Action::Inspect { reply_key } => Some(reply_key),
        _ => None,
    };
    let digest = request.digest();
    let config = &core.config;
    let statement = Statement {
        version: VERSION,
        commons: core.commons,
        node: config.node,
        request: digest,
        at: config.clock.now(),
        batch: core.store.chain().await?.committed,
        charter: Digest([0; 32]),
        member: member(core, request, reply_key.is_some()).await?,
        party: None,
        ask: None,
        events: Vec::new(),
    };
    let bytes = SignedStatement::new(statement, &config.signing_key).to_bytes();
    match reply_key {
        None => Ok(bytes),
        Some(key) => Ok(seal::seal(key, seal::INSPECTION, &digest, &bytes, &mut generator()?)?),
    }
}

async fn member(core: &Core, request: &Request, with_samples: bool) -> Result<Option<MemberStatement>, Error> {
    // A batch that is committed meanwhile may move a record to another slot: then everything is read again.
    loop {
        let Some(member) = core.store.member(&request.device).await? else { return Ok(None) };
        if let Some(records) = records(core, &member, with_samples).await? {
            let metadata_bytes = core.store.metadata_bytes(&request.device).await?;
            let (member, since) = (member.member, member.since);
            let (grants, asks) = (Vec::new(), Vec::new());
            return Ok(Some(MemberStatement { member, since, records, metadata_bytes, shield: None, grants, asks }));
        }
    }
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
