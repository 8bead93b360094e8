//! The nodes agree on the randomness of a refresh: three rounds of the session of the batch that begins it.
//!
//! 1. Each node makes a key pair that lives for these rounds only, and 32 random bytes, its contribution; it tells both others the
//!    public key and a commitment to the contribution.
//! 2. It seals the contribution to each of them (HPKE, so a second fresh key on either side) and opens theirs.
//! 3. All compare a digest of the outcome.
//!
//! Every pair of nodes thus shares ephemeral secrets inside a connection that has some already. Whoever recorded the traffic and
//! later seizes every long-term key learns nothing, and as each commits before it opens, no node chooses the outcome.
//!
//! Out of scope: what the seed is for (`mpc::refresh`), and keeping it until then (`store`).

use mpc::refresh::Seed;
use mpc::{Incoming, Outgoing};
use rand_core::CryptoRng;
use types::seal::{self, REFRESH, SealKey};
use types::{Digest, NodeId};
use zeroize::Zeroizing;

use super::link::SessionId;
use super::matching::Failure;

/// First round: public key, commitment.
type Opening = ([u8; 32], Digest);

/// Agrees over `round`, which sends the messages of a round and returns those of the others.
pub(super) fn agree<R: CryptoRng>(
    node: NodeId,
    session: SessionId,
    rng: &mut R,
    mut round: impl FnMut(Outgoing) -> Result<Incoming, Failure>,
) -> Result<Seed, Failure> {
    let (mut key, mut own) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    rng.fill_bytes(key.as_mut());
    rng.fill_bytes(own.as_mut());
    let key = SealKey::from_random(&key);
    let opening: Opening = (key.public().map_err(|_| Failure::Broken)?, commitment(node, session, &own));
    let bytes = types::encode(&opening);
    let openings = round(Outgoing { to_prev: bytes.clone(), to_next: bytes })?;
    let (from_prev, from_next) = (read(&openings.from_prev)?, read(&openings.from_next)?);

    let mut seal = |(public, _): &Opening| {
        seal::seal(public, REFRESH, &context(session), own.as_ref(), rng).map_err(|_| Failure::Disagreement)
    };
    let sealed = round(Outgoing { to_prev: seal(&from_prev)?, to_next: seal(&from_next)? })?;
    let open = |other: NodeId, (_, committed): &Opening, sealed: &[u8]| {
        let plain = seal::open(&key, REFRESH, &context(session), sealed).map(Zeroizing::new);
        let contribution: Option<[u8; 32]> = plain.ok().and_then(|plain| plain.as_slice().try_into().ok());
        let contribution = contribution.map(Zeroizing::new).ok_or(Failure::Disagreement)?;
        match commitment(other, session, &contribution) == *committed {
            true => Ok(contribution),
            false => Err(Failure::Disagreement),
        }
    };
    let (prev, next) = (node.prev(), node.next());
    let (from_prev, from_next) = (open(prev, &from_prev, &sealed.from_prev)?, open(next, &from_next, &sealed.from_next)?);

    let contributions = Zeroizing::new(NodeId::ALL.map(|other| match other {
        other if other == prev => *from_prev,
        other if other == next => *from_next,
        _ => *own,
    }));
    let seed = Seed::from_contributions(&session.0, &contributions);
    let digest = seed.digest().0.to_vec();
    let compared = round(Outgoing { to_prev: digest.clone(), to_next: digest.clone() })?;
    match compared.from_prev == digest && compared.from_next == digest {
        true => Ok(seed),
        false => Err(Failure::Disagreement),
    }
}

fn read(bytes: &[u8]) -> Result<Opening, Failure> {
    types::decode("opening of a refresh", bytes, 64).map_err(|_| Failure::Disagreement)
}

fn commitment(node: NodeId, session: SessionId, contribution: &[u8; 32]) -> Digest {
    Digest::of("trust-commons/v1/refresh/commitment", &[&[node.number()], &session.0, contribution])
}

fn context(session: SessionId) -> Digest {
    Digest::of("trust-commons/v1/refresh/session", &[&session.0])
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    /// Three nodes on threads; `tamper` sees each message as (round, from, to).
    fn run(tamper: impl Fn(usize, NodeId, NodeId, &mut Vec<u8>) + Sync) -> [Result<Seed, Failure>; 3] {
        type Wire = (Sender<Vec<u8>>, Receiver<Vec<u8>>);
        let wires: Vec<Wire> = (0..6).map(|_| channel()).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) = wires.into_iter().unzip();
        let mut receivers: Vec<Option<Receiver<Vec<u8>>>> = receivers.into_iter().map(Some).collect();
        // Wire 2 n leads from node n to the next, wire 2 n + 1 to the one before.
        let mut parts = NodeId::ALL.map(|node| {
            let (n, prev, next) = (node.index(), node.prev().index(), node.next().index());
            let from = (receivers[2 * prev].take().unwrap(), receivers[2 * next + 1].take().unwrap());
            Some((senders[2 * n].clone(), senders[2 * n + 1].clone(), from))
        });
        drop(senders);
        let tamper = &tamper;
        std::thread::scope(|scope| {
            NodeId::ALL
                .map(|node| {
                    let (to_next, to_prev, (from_prev, from_next)) = parts[node.index()].take().unwrap();
                    scope.spawn(move || {
                        let mut number = 0;
                        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(node.number()));
                        agree(node, SessionId([5; 16]), &mut rng, |mut outgoing| {
                            tamper(number, node, node.prev(), &mut outgoing.to_prev);
                            tamper(number, node, node.next(), &mut outgoing.to_next);
                            number += 1;
                            let _ = (to_prev.send(outgoing.to_prev), to_next.send(outgoing.to_next));
                            let from_prev = from_prev.recv().map_err(|_| Failure::Stopped)?;
                            let from_next = from_next.recv().map_err(|_| Failure::Stopped)?;
                            Ok(Incoming { from_prev, from_next })
                        })
                    })
                })
                .map(|thread| thread.join().unwrap())
        })
    }

    #[test]
    fn three_nodes_agree() {
        let seeds = run(|_, _, _, _| ()).map(Result::unwrap);
        assert!(seeds[0] == seeds[1] && seeds[1] == seeds[2]);
    }

    #[test]
    fn whatever_one_node_says_to_one_other_alone_ends_it_for_an_honest_node() {
        let rogue = NodeId::ALL[1];
        for round in 0..3 {
            for to in [rogue.next(), rogue.prev()] {
                for byte in [0, 40] {
                    let seeds = run(|number, from, target, bytes| {
                        if (number, from, target) == (round, rogue, to) && byte < bytes.len() {
                            bytes[byte] ^= 1;
                        }
                    });
                    let honest = [&seeds[rogue.next().index()], &seeds[rogue.prev().index()]];
                    let ended = honest.iter().any(|seed| seed.is_err());
                    assert!(ended || (round == 2 && byte == 40), "round {round}, to {to}, byte {byte}");
                }
            }
        }
    }
}
