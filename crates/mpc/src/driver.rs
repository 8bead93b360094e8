//! Runs the three parties of a protocol in memory, for tests, benches and accuracy reports. It moves messages and counts them.
//!
//! Out of scope: networks and time-outs (`node`).

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use types::NodeId;

use crate::error::{Abort, Cause, Phase};
use crate::protocol::{Incoming, Outgoing, Protocol, Step};
use crate::session::SessionKeys;

/// How the three parties take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// One after another on the calling thread.
    LockStep,
    /// Each on a thread of its own.
    Threads,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<T> {
    /// Of nodes 1, 2, 3.
    pub outputs: [T; 3],
    /// Rounds of messages.
    pub rounds: usize,
    /// Bytes sent by nodes 1, 2, 3.
    pub sent_bytes: [u64; 3],
}

/// Runs `parties` (of nodes 1, 2, 3) to the end.
///
/// # Errors
/// The first [`Abort`] of any party.
pub fn run_local<P>(parties: [P; 3], schedule: Schedule) -> Result<Run<P::Output>, Abort>
where
    P: Protocol + Send,
    P::Output: Send,
{
    match schedule {
        Schedule::LockStep => run_with(parties, |_, _, _| ()),
        Schedule::Threads => run_threads(parties),
    }
}

/// Like [`run_local`] in lock-step, and lets `tamper` see and alter what each node sends in each round (counted from 0).
///
/// # Errors
/// The first [`Abort`] of any party.
pub fn run_with<P: Protocol>(
    parties: [P; 3],
    mut tamper: impl FnMut(usize, NodeId, &mut Outgoing),
) -> Result<Run<P::Output>, Abort> {
    let mut sent_bytes = [0u64; 3];
    let mut rounds = 0;
    let mut parties = parties.map(|mut party| {
        let outgoing = party.start();
        (party, outgoing)
    });
    loop {
        for ((node, (_, outgoing)), sent) in NodeId::ALL.into_iter().zip(&mut parties).zip(&mut sent_bytes) {
            tamper(rounds, node, outgoing);
            *sent += size(outgoing);
        }
        rounds += 1;
        let [(a, from_a), (b, from_b), (c, from_c)] = parties;
        // Node 1's predecessor is node 3, its successor node 2, and so on around the ring.
        let a = a.round(Incoming { from_prev: from_c.to_next, from_next: from_b.to_prev })?;
        let b = b.round(Incoming { from_prev: from_a.to_next, from_next: from_c.to_prev })?;
        let c = c.round(Incoming { from_prev: from_b.to_next, from_next: from_a.to_prev })?;
        parties = match (a, b, c) {
            (Step::Continue(a, x), Step::Continue(b, y), Step::Continue(c, z)) => [(a, x), (b, y), (c, z)],
            (Step::Finish(a), Step::Finish(b), Step::Finish(c)) => {
                return Ok(Run { outputs: [a, b, c], rounds, sent_bytes });
            }
            _ => return Err(stopped()),
        };
    }
}

fn size(outgoing: &Outgoing) -> u64 {
    (outgoing.to_prev.len() + outgoing.to_next.len()) as u64
}

fn stopped() -> Abort {
    Abort { phase: Phase::Empty, culprit: None, cause: Cause::Stopped }
}

fn run_threads<P>(parties: [P; 3]) -> Result<Run<P::Output>, Abort>
where
    P: Protocol + Send,
    P::Output: Send,
{
    // Channel j of `forward` leads from node j to its successor, of `backward` to its predecessor.
    let [(f1, r1), (f2, r2), (f3, r3)] = std::array::from_fn(|_| channel::<Vec<u8>>());
    let [(b1, s1), (b2, s2), (b3, s3)] = std::array::from_fn(|_| channel::<Vec<u8>>());
    let links = [
        Link { to_prev: b1, to_next: f1, from_prev: r3, from_next: s2 },
        Link { to_prev: b2, to_next: f2, from_prev: r1, from_next: s3 },
        Link { to_prev: b3, to_next: f3, from_prev: r2, from_next: s1 },
    ];
    let results: Vec<Result<Finished<P::Output>, Abort>> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            parties.into_iter().zip(links).map(|(party, link)| scope.spawn(move || link.run(party))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(stopped()))).collect()
    });
    // A party that aborts takes the others with it; report the cause, not the consequence.
    let cause = results.iter().filter_map(|result| result.as_ref().err()).find(|abort| abort.cause != Cause::Stopped);
    if let Some(abort) = cause {
        return Err(abort.clone());
    }
    let [a, b, c]: [_; 3] = results.into_iter().collect::<Result<Vec<_>, _>>()?.try_into().map_err(|_| stopped())?;
    Ok(Run { outputs: [a.0, b.0, c.0], rounds: a.1, sent_bytes: [a.2, b.2, c.2] })
}

/// Output, rounds, bytes sent.
type Finished<T> = (T, usize, u64);

/// The channels of one party.
struct Link {
    to_prev: Sender<Vec<u8>>,
    to_next: Sender<Vec<u8>>,
    from_prev: Receiver<Vec<u8>>,
    from_next: Receiver<Vec<u8>>,
}

impl Link {
    fn run<P: Protocol>(self, mut party: P) -> Result<Finished<P::Output>, Abort> {
        let mut outgoing = party.start();
        let (mut rounds, mut sent) = (0, 0);
        loop {
            sent += size(&outgoing);
            rounds += 1;
            self.to_prev.send(outgoing.to_prev).map_err(|_| stopped())?;
            self.to_next.send(outgoing.to_next).map_err(|_| stopped())?;
            let from_prev = receive(&self.from_prev, &mut party)?;
            let from_next = receive(&self.from_next, &mut party)?;
            match party.round(Incoming { from_prev, from_next })? {
                Step::Continue(next, messages) => (party, outgoing) = (next, messages),
                Step::Finish(output) => return Ok((output, rounds, sent)),
            }
        }
    }
}

/// The next message; until it is there, the party works ahead.
fn receive<P: Protocol>(from: &Receiver<Vec<u8>>, party: &mut P) -> Result<Vec<u8>, Abort> {
    loop {
        match from.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Empty) if party.work_ahead() => {}
            Err(_) => return from.recv().map_err(|_| stopped()),
        }
    }
}

/// Session keys of three nodes in one process, derived from `seed`: for tests, benches and evaluations of one's own data. Whoever
/// knows the seed can undo the sharing.
pub fn local_keys(seed: &[u8; 32], session: &[u8]) -> [SessionKeys; 3] {
    use sha2::{Digest as _, Sha256};
    let pairwise = |number: u8| -> [u8; 32] { Sha256::new_with_prefix(seed).chain_update([number]).finalize().into() };
    NodeId::ALL.map(|node| SessionKeys::new(node, &pairwise(node.number()), &pairwise(node.next().number()), session))
}

#[cfg(test)]
pub(crate) fn test_keys(seed: u8) -> [SessionKeys; 3] {
    local_keys(&[seed; 32], b"test")
}
