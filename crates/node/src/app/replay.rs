//! Every operation id is accepted once until its request has expired, across restarts. One task notes them in the store, many
//! at a time, because a durable write costs the same for one as for many.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use types::{OperationId, UnixSeconds, limits};

use super::sequencer::Core;
use crate::Error;

/// Ids noted in one write.
const TOGETHER: usize = 512;

struct Note {
    operation: OperationId,
    until: UnixSeconds,
    answer: oneshot::Sender<Result<(), Error>>,
}

/// Handle to the task.
pub(super) struct Replays(mpsc::Sender<Note>);

impl Replays {
    pub(super) fn start(core: Arc<Core>) -> Self {
        let (sender, notes) = mpsc::channel(limits::PENDING_OPERATIONS);
        tokio::spawn(serve(core, notes));
        Self(sender)
    }

    /// Notes an id durably.
    ///
    /// # Errors
    /// [`Error::Replayed`] when it was noted before; [`Error::Stopped`].
    pub(super) async fn note(&self, operation: OperationId, until: UnixSeconds) -> Result<(), Error> {
        let (answer, noted) = oneshot::channel();
        self.0.send(Note { operation, until, answer }).await.map_err(|_| Error::Stopped)?;
        noted.await.unwrap_or(Err(Error::Stopped))
    }
}

async fn serve(core: Arc<Core>, mut notes: mpsc::Receiver<Note>) {
    let mut batch = Vec::with_capacity(TOGETHER);
    loop {
        tokio::select! {
            () = core.stopped.cancelled() => return,
            received = notes.recv_many(&mut batch, TOGETHER) => if received == 0 { return },
        }
        let ids: Vec<_> = batch.iter().map(|note| (note.operation, note.until)).collect();
        let noted = core.store.note_operations(&ids).await;
        if let Err(error) = &noted {
            tracing::error!(
                code = error.code(),
                error = error as &dyn std::error::Error,
                "operation ids could not be noted"
            );
        }
        let noted = noted.unwrap_or_default();
        for (position, note) in batch.drain(..).enumerate() {
            let result = match noted.get(position) {
                Some(true) => Ok(()),
                Some(false) => Err(Error::Replayed),
                None => Err(Error::Internal { what: "the operation could not be noted" }),
            };
            let _ = note.answer.send(result);
        }
    }
}
