//! One live connection: two loops, and the sessions that use it.
//!
//! Data frames are flow-controlled per session with credits (as in HTTP/2, RFC 9113, section 5.2): a side may send
//! `SESSION_QUEUE` data frames and then one more for each that the other side's session has taken. So the reader never has to
//! wait for a slow session, and control messages and signs of life keep moving beside a gigabyte of shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use types::NodeId;

use super::fault::Fault;
use super::frame::Frame;
use super::hello::PairSecret;
use crate::link::{CONTROL_QUEUE, ControlMessage, PeerEvent, SESSION_QUEUE, SessionFrame, SessionId, SessionPeer};
use crate::metrics::Metrics;

/// Data frames between the sessions and the socket.
const DATA_QUEUE: usize = 4;
/// How long an orderly end may take.
const GOODBYE: Duration = Duration::from_millis(250);

/// The shared face of a live connection.
pub(crate) struct Connection {
    peer: NodeId,
    secret: PairSecret,
    control: mpsc::Sender<Frame>,
    data: mpsc::Sender<Frame>,
    sessions: Mutex<HashMap<SessionId, Lane>>,
    ended: CancellationToken,
    why: Mutex<Option<Fault>>,
}

/// One session on this connection.
struct Lane {
    /// Taken away when the other side has said that nothing more comes.
    inbound: Option<mpsc::Sender<SessionFrame>>,
    /// Data frames that we may still send.
    credits: Arc<Semaphore>,
}

/// The ends of a connection's queues that its writer holds.
pub(crate) struct Queues {
    control: mpsc::Receiver<Frame>,
    data: mpsc::Receiver<Frame>,
}

/// Heartbeat and patience.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Between two signs of life.
    pub(crate) heartbeat: Duration,
    /// A connection that is silent for so long is dead.
    pub(crate) dead_after: Duration,
}

impl Connection {
    pub(crate) fn new(peer: NodeId, secret: PairSecret) -> (Arc<Self>, Queues) {
        let (control, control_out) = mpsc::channel(CONTROL_QUEUE);
        let (data, data_out) = mpsc::channel(DATA_QUEUE);
        let (sessions, ended, why) = (Mutex::default(), CancellationToken::new(), Mutex::default());
        let connection = Arc::new(Self { peer, secret, control, data, sessions, ended, why });
        (connection, Queues { control: control_out, data: data_out })
    }

    /// Ends the connection; the first reason given is the one reported.
    pub(crate) fn end(&self, fault: Fault) {
        lock(&self.why).get_or_insert(fault);
        self.ended.cancel();
    }

    /// Queues a control message; false when the queue is full or the connection has ended.
    pub(crate) fn send(&self, message: &ControlMessage) -> bool {
        !self.ended.is_cancelled() && self.control.try_send(Frame::Control(message.to_bytes())).is_ok()
    }

    /// Opens this connection's half of a session.
    pub(crate) fn open(self: &Arc<Self>, session: SessionId) -> SessionPeer {
        let (outgoing, from_session) = mpsc::channel(1);
        let (to_session, incoming) = mpsc::channel(1);
        let (inbound, arrived) = mpsc::channel(SESSION_QUEUE);
        let credits = Arc::new(Semaphore::new(SESSION_QUEUE));
        let lane = Lane { inbound: Some(inbound), credits: Arc::clone(&credits) };
        lock(&self.sessions).insert(session, lane);
        tokio::spawn(Arc::clone(self).carry_out(session, from_session, credits));
        tokio::spawn(Arc::clone(self).carry_in(session, arrived, to_session));
        SessionPeer { node: self.peer, outgoing, incoming, key: self.secret.session_key(session) }
    }

    /// From the session to the socket, until the session is dropped, the peer closes it, or the connection ends.
    async fn carry_out(
        self: Arc<Self>,
        session: SessionId,
        mut from_session: mpsc::Receiver<SessionFrame>,
        credits: Arc<Semaphore>,
    ) {
        let carry = async {
            while let Some(frame) = from_session.recv().await {
                let Ok(credit) = credits.acquire().await else { break };
                credit.forget();
                if self.data.send(Frame::Data(frame)).await.is_err() {
                    break;
                }
            }
            // In order behind the last data frame, so the peer gets all of them first.
            let _ = self.data.send(Frame::Close { session }).await;
        };
        self.ended.run_until_cancelled(carry).await;
        lock(&self.sessions).remove(&session);
    }

    /// From the socket to the session; each frame that the session takes earns the peer a credit.
    async fn carry_in(
        self: Arc<Self>,
        session: SessionId,
        mut arrived: mpsc::Receiver<SessionFrame>,
        to_session: mpsc::Sender<SessionFrame>,
    ) {
        let carry = async {
            while let Some(frame) = arrived.recv().await {
                if to_session.send(frame).await.is_err() {
                    break;
                }
                if self.control.send(Frame::Credit { session, frames: 1 }).await.is_err() {
                    break;
                }
            }
        };
        self.ended.run_until_cancelled(carry).await;
    }

    fn data_arrived(&self, frame: SessionFrame) -> Result<(), Fault> {
        let sessions = lock(&self.sessions);
        let Some(inbound) = sessions.get(&frame.session).and_then(|lane| lane.inbound.as_ref()) else {
            return Ok(()); // A frame of a dead session.
        };
        match inbound.try_send(frame) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Fault::Flood),
        }
    }

    fn credit_arrived(&self, session: SessionId, frames: u32) -> Result<(), Fault> {
        if let Some(lane) = lock(&self.sessions).get(&session) {
            if lane.credits.available_permits() + frames as usize > SESSION_QUEUE {
                return Err(Fault::Flood);
            }
            lane.credits.add_permits(frames as usize);
        }
        Ok(())
    }

    fn close_arrived(&self, session: SessionId) {
        if let Some(lane) = lock(&self.sessions).get_mut(&session) {
            lane.inbound = None;
            lane.credits.close();
        }
    }
}

/// Runs the connection to its end and says why it ended.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Send>(
    stream: S,
    connection: &Arc<Connection>,
    queues: Queues,
    timing: Timing,
    events: &mpsc::Sender<PeerEvent>,
    metrics: &Metrics,
) -> Fault {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let ended = connection.ended.clone();
    tokio::select! {
        fault = read_loop(&mut reader, connection, timing, events) => connection.end(fault),
        fault = write_loop(&mut writer, connection, queues, timing, metrics) => connection.end(fault),
        () = ended.cancelled() => {}
    }
    lock(&connection.sessions).clear();
    let _ = tokio::time::timeout(GOODBYE, writer.shutdown()).await;
    lock(&connection.why).clone().unwrap_or(Fault::Closed)
}

async fn read_loop<R: AsyncRead + Unpin>(
    reader: &mut R,
    connection: &Connection,
    timing: Timing,
    events: &mpsc::Sender<PeerEvent>,
) -> Fault {
    loop {
        let handled = match Frame::read(reader, timing.dead_after).await {
            Ok(Frame::Ping) => Ok(()),
            Ok(Frame::Control(bytes)) => match ControlMessage::from_bytes(&bytes) {
                // Waits while the sequencer is behind: that stops the peer, not this node's memory.
                Ok(message) => {
                    let event = PeerEvent::Message { from: connection.peer, message };
                    events.send(event).await.map_err(|_| Fault::Stopping)
                }
                Err(_) => Err(Fault::Malformed),
            },
            Ok(Frame::Data(frame)) => connection.data_arrived(frame),
            Ok(Frame::Credit { session, frames }) => connection.credit_arrived(session, frames),
            Ok(Frame::Close { session }) => {
                connection.close_arrived(session);
                Ok(())
            }
            Ok(Frame::Hello(_)) => Err(Fault::Malformed),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = handled {
            return fault;
        }
    }
}

async fn write_loop<W: AsyncWrite + Unpin>(
    writer: &mut W,
    connection: &Connection,
    mut queues: Queues,
    timing: Timing,
    metrics: &Metrics,
) -> Fault {
    let mut heartbeat = tokio::time::interval(timing.heartbeat);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let frame = tokio::select! {
            biased;
            Some(frame) = queues.control.recv() => frame,
            _ = heartbeat.tick() => Frame::Ping,
            Some(frame) = queues.data.recv() => frame,
        };
        let written = async {
            frame.write(writer).await?;
            writer.flush().await.map_err(Fault::io)
        };
        if let Err(fault) = written.await {
            return fault;
        }
        metrics.peer_bytes(connection.peer, frame.wire_bytes());
    }
}

/// A poisoned lock guards plain data that is valid at every step; go on with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
