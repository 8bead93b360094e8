//! Collects cosignatures for one checkpoint and publishes it.

use std::sync::Arc;
use std::time::Duration;

use tlog::{AddCheckpoint, Reply, SignatureLine, SignedCheckpoint, Tree};
use tokio::task::JoinSet;
use types::UnixSeconds;

use super::{Publisher, RENEW, Stop, WitnessAt, backoff};
use crate::Error;
use crate::app::status::Obstacle;
use crate::store::Own;
use crate::store::tiles::LogFiles;

/// Answers of size 409 to follow, in case another size was cosigned meanwhile.
const TURNS: usize = 3;

/// What came of asking one witness.
enum Asked {
    Cosigned(SignatureLine, UnixSeconds),
    /// It has cosigned more than this node has signed: this node was set back.
    SetBack(u64),
    /// Not now, and why.
    Not(String),
}

impl Publisher {
    /// Asks the witnesses that are due, publishes, and returns when the next is due.
    pub(super) async fn cosign(&self, signed: SignedCheckpoint) -> Result<Duration, Stop> {
        let core = &self.core;
        let size = signed.verify(&self.log_key()?)?.size;
        let mut note = match core.store.checkpoint(Own::Published).await? {
            // The same checkpoint again: keep the cosignatures it has.
            Some(published) if published.verify(&self.log_key()?)?.size == size => published,
            _ => signed.clone(),
        };
        let due = core.publication.due(size);
        let mut asking = JoinSet::new();
        for (number, old) in due {
            let Some(witness) = core.config.witnesses.get(number).cloned() else { continue };
            let (files, courier) = (Arc::clone(core.store.log_files()), Arc::clone(&core.config.courier));
            let signed = signed.clone();
            asking.spawn(async move { (number, ask(&*courier, &witness, &files, signed, size, old).await) });
        }
        let mut set_back = None;
        while let Some(asked) = asking.join_next().await {
            let Ok((number, asked)) = asked else { continue };
            match asked {
                Asked::Cosigned(line, at) => {
                    note.add(line)?;
                    core.publication.cosigned(number, size, at);
                }
                Asked::SetBack(theirs) => {
                    core.publication.failed(number, "it has cosigned more than this node has signed".to_owned());
                    set_back = Some(theirs);
                }
                Asked::Not(why) => core.publication.failed(number, why),
            }
        }
        if let Some(theirs) = set_back {
            tracing::error!(
                ours = size,
                theirs,
                "a witness has cosigned more than this log holds: its data is from an old backup"
            );
            core.set_alarm(Some(Obstacle::LogSetBack), |_| true);
        }
        core.store.publish_checkpoint(size, &note).await?;
        core.publication.publish(size, &note, core.config.clock.now());
        core.publication.figures(&core.config.metrics);
        Ok(core.publication.next_due().min(RENEW))
    }
}

async fn ask(
    courier: &dyn super::Courier,
    witness: &WitnessAt,
    files: &Arc<LogFiles>,
    signed: SignedCheckpoint,
    size: u64,
    mut old: u64,
) -> Asked {
    for _ in 0..TURNS {
        let (tiles, of) = (Arc::clone(files), signed.clone());
        let request = tokio::task::spawn_blocking(move || AddCheckpoint::make(&Tree::new(size, &*tiles), old, of)).await;
        let body = match request.map_err(|_| Error::Internal { what: "a proof could be made" }) {
            Ok(Ok(request)) => request.to_body(),
            Ok(Err(error)) => return Asked::Not(error.to_string()),
            Err(error) => return Asked::Not(error.to_string()),
        };
        let (status, reply) = match courier.add_checkpoint(witness, body).await {
            Ok(reply) => reply,
            Err(why) => return Asked::Not(why),
        };
        match Reply::parse(status, &reply, &signed, &witness.key) {
            Ok(Reply::Cosigned { line, at }) => return Asked::Cosigned(line, at),
            Ok(Reply::OtherSize(theirs)) if theirs > size => return Asked::SetBack(theirs),
            Ok(Reply::OtherSize(theirs)) => old = theirs,
            Ok(Reply::Refused(status)) => return Asked::Not(refused(status, &reply)),
            Err(error) => return Asked::Not(error.to_string()),
        }
    }
    Asked::Not("its record of this log changes with every answer".to_owned())
}

/// The witness's words, cut short: it may say anything.
fn refused(status: u16, reply: &[u8]) -> String {
    let words: String = String::from_utf8_lossy(reply).chars().filter(|c| !c.is_control()).take(200).collect();
    format!("it refused with status {status}: {words}")
}

impl super::Publication {
    /// Seconds after which a witness that failed `failures` times is asked again.
    pub(super) fn pause_after(failures: u32) -> Duration {
        backoff(failures)
    }
}
