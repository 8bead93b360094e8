//! One matching run: the protocols of `mpc` over a session, in the order on which the three nodes agreed.
//!
//! First `CheckInputs` over every submitted template, then `Search` of the valid enrolments in the gallery, then `Twins` among
//! those that met nobody, last `Verify` of the valid verifications. A renewal is alone in its batch: `Verify` with the own record, and
//! if that matches `Search` among all others. So is a sample that comes in two profiles, because one replaces the other: both
//! galleries are searched. Which protocols run with what depends only on the batch and
//! on answers that all three nodes opened, so the nodes stay in step.
//!
//! A run is one blocking task: it computes, and works ahead while it waits for the peers between rounds. Out of scope: what follows from a verdict.

use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};

use mpc::batch::{CheckInputs, Search, Twins, Verify};
use mpc::gallery::Gallery;
use mpc::record::{ProbeShare, RecordShare, probe_share, record_share};
use mpc::refresh::Seed;
use mpc::session::SessionKeys;
use mpc::sharing::InputShare;
use mpc::{Adder, Incoming, Outgoing, Protocol, Step};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use types::NodeId;
use types::message::Action;
use types::profile::Matching;
use zeroize::Zeroizing;

use super::link::{Session, SessionError};
use super::pending::{Operation, Sample, Task};
use super::seed;

/// An operation with what the node's state adds to it.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// What was asked.
    pub(crate) operation: Arc<Operation>,
    /// For a comparison: the slot of the record to compare with; absent when nothing is to be compared.
    pub(crate) slot: Option<u32>,
    /// For a renewal in two profiles: the slot of the member's record in the former one.
    pub(crate) former_slot: Option<u32>,
    /// For a withdrawal: the records to erase.
    pub(crate) records: Vec<(types::ProfileId, u32)>,
    /// What may happen, and about whom.
    pub(crate) judged: Arc<super::facts::Judged>,
    /// Marks its log entry: the member's stored key, or the request's.
    pub(crate) trace: types::TraceKey,
}

/// What the nodes found out about one operation.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Range, norm or mask is wrong.
    Invalid,
    /// Matches an active record.
    Duplicate,
    /// Matches an earlier operation of the batch: to be decided in the next one.
    Deferred,
    /// Matches nobody; the share to keep.
    Admit(RecordShare),
    /// Compared with the own record.
    Compared(bool),
    /// Matches the own record and no other; the share to keep in its place.
    Replace(RecordShare),
    /// Does not match the own record, or matches another one too.
    Keep,
    /// Nothing to match.
    Unmatched,
    /// The randomness of a refresh.
    Seed(Seed),
}

/// Why a run ended without verdicts. Nothing was decided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A connection ended or a peer was too slow.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The nodes' messages do not fit together.
    #[error(transparent)]
    Protocol(#[from] mpc::Error),
    /// The nodes did not find to one randomness.
    #[error("the nodes do not agree on the randomness of a refresh")]
    Disagreement,
    /// The sequencer ended it.
    #[error("the run was stopped")]
    Stopped,
    /// A bug.
    #[error("the run broke down")]
    Broken,
}

/// Operations whose own numbers are few: a template of 512 coordinates sends 7 KB more to save 24 rounds.
const FEW: usize = 32;

/// All records of one profile.
pub(crate) struct Records {
    /// How templates become scores.
    pub(crate) matching: Matching,
    /// This node's shares.
    pub(crate) gallery: Arc<RwLock<Gallery>>,
}

/// What a run needs.
pub(crate) struct Run {
    pub(crate) node: NodeId,
    /// Absent when nothing is matched.
    pub(crate) records: Option<Records>,
    /// Of the profile that is being replaced, for a sample in both.
    pub(crate) former: Option<Records>,
    /// Of the search, and of everything in large batches.
    pub(crate) adder: Adder,
    pub(crate) operations: Vec<Planned>,
}

impl Run {
    /// Runs on a blocking thread.
    pub(crate) async fn start(self, session: Session, stop: CancellationToken) -> Result<Vec<Verdict>, Failure> {
        let runtime = Handle::current();
        let run = move || {
            let (prev, next) = session.keys();
            let keys = SessionKeys::new(self.node, prev, next, &session.id().0);
            self.verdicts(keys, &mut Exchange { runtime, session, stop })
        };
        tokio::task::spawn_blocking(run).await.unwrap_or(Err(Failure::Broken))
    }

    fn verdicts(&self, mut keys: SessionKeys, exchange: &mut Exchange) -> Result<Vec<Verdict>, Failure> {
        if self.operations.iter().any(|planned| matches!(planned.operation.action(), Action::Refresh { .. })) {
            return Ok(vec![Verdict::Seed(self.seed(exchange)?)]);
        }
        let Some(Records { matching, gallery }) = &self.records else {
            return Ok(self.operations.iter().map(|_| Verdict::Unmatched).collect());
        };
        let gallery = gallery.read().unwrap_or_else(PoisonError::into_inner);
        let valid = self.check(matching, &mut keys, exchange)?;
        if let Some(former) = &self.former {
            return Ok(vec![self.in_both(matching, &gallery, former, &valid, &mut keys, exchange)?]);
        }

        // Enrolments and verifications among the valid ones, by position in the batch.
        let (mut newcomers, mut claims) = (Vec::new(), Vec::new());
        for (position, planned) in self.operations.iter().enumerate() {
            match (&planned.operation.task, valid.get(position).copied().flatten()) {
                (Task::Enrol(sample), Some(true)) => newcomers.push((position, self.shares(&sample.input, matching))),
                (Task::Renew(sample), Some(true)) => {
                    let slot = planned.slot.ok_or(Failure::Broken)?;
                    return Ok(vec![self.renew(matching, &gallery, slot, &sample.input, &mut keys, exchange)?]);
                }
                (Task::Verify(sample), Some(true)) => {
                    if let Some(slot) = planned.slot {
                        claims.push((position, probe_share(self.node, &sample.input, matching), slot));
                    }
                }
                _ => {}
            }
        }
        let mut verdicts: Vec<Verdict> = valid.iter().map(unmatched).collect();
        self.admit(matching, &gallery, newcomers, &mut keys, exchange, &mut verdicts)?;

        if !claims.is_empty() {
            let pairs: Vec<(&ProbeShare, u32)> = claims.iter().map(|(_, probe, slot)| (probe, *slot)).collect();
            let protocol = Verify::new(keys.next_protocol(), matching, &gallery, &pairs, self.quick())?;
            for ((position, ..), matched) in claims.iter().zip(exchange.run(protocol)?) {
                set(&mut verdicts, *position, Verdict::Compared(matched));
            }
        }
        Ok(verdicts)
    }

    /// The adder of what compares few numbers, whatever the gallery: with few operations, rounds are all that counts. The check of a
    /// template saves 24 of them.
    fn quick(&self) -> Adder {
        if self.operations.len() <= FEW { Adder::Prefix } else { self.adder }
    }

    /// The one operation of the batch begins a refresh.
    fn seed(&self, exchange: &mut Exchange) -> Result<Seed, Failure> {
        let mut random = Zeroizing::new([0; 32]);
        getrandom::fill(random.as_mut()).map_err(|_| Failure::Broken)?;
        let mut rng = ChaCha20Rng::from_seed(*random);
        let session = exchange.session.id();
        seed::agree(self.node, session, &mut rng, |outgoing| exchange.round(outgoing, || false))
    }

    /// Per operation: whether its template is one; absent without a template.
    fn check(
        &self,
        matching: &Matching,
        keys: &mut SessionKeys,
        exchange: &mut Exchange,
    ) -> Result<Vec<Option<bool>>, Failure> {
        let inputs: Vec<Option<&InputShare>> =
            self.operations.iter().map(|planned| planned.operation.sample().map(|sample| &sample.input)).collect();
        let given: Vec<&InputShare> = inputs.iter().flatten().copied().collect();
        let checked = exchange.run(CheckInputs::new(keys.next_protocol(), matching, &given, self.quick())?)?;
        let mut valid = checked.into_iter();
        inputs.iter().map(|input| input.map(|_| valid.next().ok_or(Failure::Broken)).transpose()).collect()
    }

    /// The nodes learn which of the two comparisons failed; the member learns one bit.
    fn renew(
        &self,
        matching: &Matching,
        gallery: &Gallery,
        slot: u32,
        input: &InputShare,
        keys: &mut SessionKeys,
        exchange: &mut Exchange,
    ) -> Result<Verdict, Failure> {
        let (probe, record) = self.shares(input, matching);
        let same = Verify::new(keys.next_protocol(), matching, gallery, &[(&probe, slot)], self.quick())?;
        if exchange.run(same)? != [true] {
            return Ok(Verdict::Keep);
        }
        let others = Search::new(keys.next_protocol(), matching, gallery, &[&probe], self.adder)?.except(slot);
        match exchange.run(others.with_threads(threads()))?.as_slice() {
            [false] => Ok(Verdict::Replace(record)),
            _ => Ok(Verdict::Keep),
        }
    }

    /// The one operation of the batch brings its sample in two profiles: it must match the own record, if it is a renewal, in whichever
    /// profile that is; and nobody else's in either. Only the template of the newer profile is kept.
    ///
    /// Nothing shows that both templates are of one sample, as nothing shows that a template is of a living person: that is
    /// for the capture to see to, and for the station's seal, which covers both.
    fn in_both(
        &self,
        matching: &Matching,
        gallery: &Gallery,
        former: &Records,
        valid: &[Option<bool>],
        keys: &mut SessionKeys,
        exchange: &mut Exchange,
    ) -> Result<Verdict, Failure> {
        let [planned] = self.operations.as_slice() else { return Err(Failure::Broken) };
        let Some(Sample { input, former: Some((_, older)), .. }) = planned.operation.sample() else {
            return Err(Failure::Broken);
        };
        let older_valid = exchange.run(CheckInputs::new(keys.next_protocol(), &former.matching, &[older], self.quick())?)?;
        if valid != [Some(true)] || older_valid != [true] {
            return Ok(Verdict::Invalid);
        }
        let older_gallery = former.gallery.read().unwrap_or_else(PoisonError::into_inner);
        let (probe, record) = self.shares(input, matching);
        let older_probe = probe_share(self.node, older, &former.matching);
        let renews = matches!(planned.operation.task, Task::Renew(_));
        let refused = if renews { Verdict::Keep } else { Verdict::Duplicate };
        if renews {
            let (matching, gallery, probe, slot) = match (planned.slot, planned.former_slot) {
                (Some(slot), _) => (matching, gallery, &probe, slot),
                (None, Some(slot)) => (&former.matching, &*older_gallery, &older_probe, slot),
                (None, None) => return Err(Failure::Broken),
            };
            let same = Verify::new(keys.next_protocol(), matching, gallery, &[(probe, slot)], self.quick())?;
            if exchange.run(same)? != [true] {
                return Ok(refused);
            }
        }
        for (matching, gallery, probe, own) in [
            (&former.matching, &*older_gallery, &older_probe, planned.former_slot),
            (matching, gallery, &probe, planned.slot),
        ] {
            let search = Search::new(keys.next_protocol(), matching, gallery, &[probe], self.adder)?;
            let others = match own {
                Some(slot) => search.except(slot),
                None => search,
            };
            if exchange.run(others.with_threads(threads()))? != [false] {
                return Ok(refused);
            }
        }
        Ok(if renews { Verdict::Replace(record) } else { Verdict::Admit(record) })
    }

    fn admit(
        &self,
        matching: &Matching,
        gallery: &Gallery,
        newcomers: Vec<(usize, (ProbeShare, RecordShare))>,
        keys: &mut SessionKeys,
        exchange: &mut Exchange,
        verdicts: &mut [Verdict],
    ) -> Result<(), Failure> {
        if newcomers.is_empty() {
            return Ok(());
        }
        let probes: Vec<&ProbeShare> = newcomers.iter().map(|(_, (probe, _))| probe).collect();
        let records: Vec<&RecordShare> = newcomers.iter().map(|(_, (_, record))| record).collect();
        let search = Search::new(keys.next_protocol(), matching, gallery, &probes, self.adder)?;
        let known = exchange.run(search.with_threads(threads()))?;
        let fresh: Vec<bool> = known.iter().map(|known| !known).collect();
        let twins = exchange.run(Twins::new(keys.next_protocol(), matching, &probes, &records, &fresh, self.quick())?)?;
        for (((position, (_, record)), known), twin) in newcomers.into_iter().zip(known).zip(twins) {
            let verdict = match (known, twin) {
                (true, _) => Verdict::Duplicate,
                (false, true) => Verdict::Deferred,
                (false, false) => Verdict::Admit(record),
            };
            set(verdicts, position, verdict);
        }
        Ok(())
    }

    fn shares(&self, input: &InputShare, matching: &Matching) -> (ProbeShare, RecordShare) {
        (probe_share(self.node, input, matching), record_share(self.node, input, matching))
    }
}

/// All cores: nothing else of a batch can go on before its search has ended.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn unmatched(valid: &Option<bool>) -> Verdict {
    match valid {
        Some(_) => Verdict::Invalid,
        None => Verdict::Unmatched,
    }
}

fn set(verdicts: &mut [Verdict], position: usize, verdict: Verdict) {
    if let Some(place) = verdicts.get_mut(position) {
        *place = verdict;
    }
}

/// The session as seen from the blocking thread.
struct Exchange {
    runtime: Handle,
    session: Session,
    stop: CancellationToken,
}

impl Exchange {
    fn run<P: Protocol>(&mut self, mut protocol: P) -> Result<P::Output, Failure> {
        let mut outgoing = protocol.start();
        loop {
            let incoming = self.round(outgoing, || protocol.work_ahead())?;
            match protocol.round(incoming).map_err(mpc::Error::from)? {
                Step::Continue(next, messages) => (protocol, outgoing) = (next, messages),
                Step::Finish(output) => return Ok(output),
            }
        }
    }

    /// Exchanges the messages of a round; until they are there, works ahead as long as there is something to do.
    fn round(&mut self, outgoing: Outgoing, mut work_ahead: impl FnMut() -> bool) -> Result<Incoming, Failure> {
        let (session, stop) = (&mut self.session, &self.stop);
        self.runtime.block_on(async {
            let mut exchange = pin!(session.exchange(outgoing.to_prev, outgoing.to_next));
            let mut more = true;
            loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Err(Failure::Stopped),
                    received = &mut exchange => {
                        let (from_prev, from_next) = received?;
                        return Ok(Incoming { from_prev, from_next });
                    }
                    // This thread's own time: the connections are served by others.
                    () = tokio::task::yield_now(), if more => more = work_ahead(),
                }
            }
        })
    }
}
