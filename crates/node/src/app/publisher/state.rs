//! What the rest of the node sees of publication: sizes, the checkpoint to serve, each witness's state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tlog::{Checkpoint, SignedCheckpoint};
use tokio::sync::{Notify, watch};
use types::UnixSeconds;
use types::api::{LogBody, LogWitnessBody};

use super::{RENEW, WitnessAt, until};
use crate::metrics::Metrics;
use crate::store::tiles::LogFiles;

/// Shared between the publisher, the sequencer, the witness and the API.
pub(in crate::app) struct Publication {
    /// Told after every commit.
    pub(in crate::app) committed: Notify,
    /// Entries that the files cover.
    size: watch::Sender<u64>,
    /// What is served under `GET /log/checkpoint`: its size, and how many have signed it.
    served: watch::Sender<(u64, usize)>,
    held: AtomicBool,
    state: Mutex<State>,
}

struct State {
    origin: String,
    size: u64,
    root: String,
    signed_size: u64,
    published: Option<Arc<str>>,
    published_size: u64,
    published_at: UnixSeconds,
    witnesses: Vec<WitnessState>,
}

struct WitnessState {
    name: String,
    /// Largest checkpoint that it cosigned, as far as known since the start.
    cosigned_size: u64,
    cosigned_at: UnixSeconds,
    problem: Option<String>,
    failures: u32,
    ask_again: Instant,
}

impl Publication {
    /// Before the first round; `published` is what was served before a restart.
    pub(in crate::app) fn new(origin: String, witnesses: &[WitnessAt], published: Option<(u64, &SignedCheckpoint)>) -> Self {
        let witness = |witness: &WitnessAt| WitnessState {
            name: witness.key.name().to_string(),
            cosigned_size: 0,
            cosigned_at: 0,
            problem: None,
            failures: 0,
            ask_again: Instant::now(),
        };
        let mut witnesses: Vec<WitnessState> = witnesses.iter().map(witness).collect();
        if let Some((size, note)) = published {
            for state in &mut witnesses {
                if note.note().signatures().iter().any(|line| line.name().as_str() == state.name) {
                    state.cosigned_size = size;
                }
            }
        }
        let state = State {
            origin,
            size: 0,
            root: String::new(),
            signed_size: 0,
            published: published.map(|(_, note)| note.to_string().into()),
            published_size: published.map_or(0, |(size, _)| size),
            published_at: 0,
            witnesses,
        };
        Self {
            committed: Notify::new(),
            size: watch::Sender::new(0),
            served: watch::Sender::new((0, 0)),
            held: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    pub(in crate::app) fn hold(&self, hold: bool) {
        self.held.store(hold, Ordering::Relaxed);
        self.committed.notify_one();
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_size(&self, files: &LogFiles) {
        let (size, root) = (files.size(), files.root().to_hex());
        {
            let mut state = self.state();
            (state.size, state.root) = (size, root);
        }
        self.size.send_replace(size);
    }

    /// Waits until the files cover `size` entries, at most for `patience`.
    pub(in crate::app) async fn covers(&self, size: u64, patience: Duration) -> bool {
        let mut sizes = self.size.subscribe();
        matches!(tokio::time::timeout(patience, sizes.wait_for(|covered| *covered >= size)).await, Ok(Ok(_)))
    }

    pub(super) fn signed(&self, checkpoint: &Checkpoint) {
        self.state().signed_size = checkpoint.size;
    }

    /// Numbers of the witnesses to ask about a checkpoint of `size`, each with the size it is believed to have cosigned last.
    pub(super) fn due(&self, size: u64) -> Vec<(usize, u64)> {
        let now = Instant::now();
        let state = self.state();
        let due = state.witnesses.iter().enumerate().filter(|(_, witness)| {
            // A healthy witness is asked for anything new at once, and for the same only when its cosignature is old.
            now >= witness.ask_again || (witness.failures == 0 && witness.cosigned_size < size)
        });
        due.map(|(number, witness)| (number, witness.cosigned_size.min(size))).collect()
    }

    pub(super) fn next_due(&self) -> Duration {
        self.state().witnesses.iter().map(|witness| until(witness.ask_again)).min().unwrap_or(RENEW)
    }

    pub(super) fn cosigned(&self, number: usize, size: u64, at: UnixSeconds) {
        if let Some(witness) = self.state().witnesses.get_mut(number) {
            if witness.problem.take().is_some() {
                tracing::info!(witness = witness.name, size, "the witness cosigns again");
            }
            (witness.cosigned_size, witness.cosigned_at, witness.failures) = (size, at, 0);
            witness.ask_again = Instant::now() + RENEW;
        }
    }

    pub(super) fn failed(&self, number: usize, why: String) {
        if let Some(witness) = self.state().witnesses.get_mut(number) {
            if witness.problem.as_ref() != Some(&why) {
                tracing::warn!(witness = witness.name, "no cosignature: {why}");
            }
            witness.problem = Some(why);
            witness.ask_again = Instant::now() + Self::pause_after(witness.failures);
            witness.failures += 1;
        }
    }

    pub(super) fn publish(&self, size: u64, note: &SignedCheckpoint, now: UnixSeconds) {
        {
            let mut state = self.state();
            if size < state.published_size {
                return;
            }
            (state.published_size, state.published_at) = (size, now);
            state.published = Some(note.to_string().into());
        }
        // A renewed signature under the same checkpoint is no news.
        let served = (size, note.note().signatures().len());
        self.served.send_if_modified(|before| std::mem::replace(before, served) != served);
    }

    /// Tells of every change of what is served.
    pub(in crate::app) fn news(&self) -> watch::Receiver<(u64, usize)> {
        self.served.subscribe()
    }

    /// The checkpoint to serve; absent before the first entry.
    pub(in crate::app) fn checkpoint(&self) -> Option<Arc<str>> {
        self.state().published.clone()
    }

    pub(super) fn figures(&self, metrics: &Metrics) {
        let state = self.state();
        metrics.log(state.size, state.published_size);
        for witness in &state.witnesses {
            metrics.cosigned(&witness.name, witness.cosigned_size);
        }
    }

    /// For `GET /v1/log`. `nodes` is how many of the witnesses, the first ones, are nodes of the commons.
    pub(in crate::app) fn body(&self, nodes: usize) -> LogBody {
        let state = self.state();
        let cosigned = state.witnesses.iter().take(nodes).map(|witness| witness.cosigned_size).min().unwrap_or(0);
        let witness = |witness: &WitnessState| LogWitnessBody {
            name: witness.name.clone(),
            cosigned_size: witness.cosigned_size,
            cosigned_at: witness.cosigned_at,
            problem: witness.problem.clone(),
        };
        LogBody {
            origin: state.origin.clone(),
            size: state.size,
            root: state.root.clone(),
            published_size: state.published_size,
            cosigned_size: cosigned,
            witnesses: state.witnesses.iter().map(witness).collect(),
        }
    }
}
