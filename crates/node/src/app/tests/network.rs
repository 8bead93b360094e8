//! [`Links`] in memory, with connections that tests cut and mend. Bytes of a session pass through tasks that die with the
//! connection, as they would with a socket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::NodeId;
use types::message::Request;
use types::sign::Signed;
use zeroize::Zeroizing;

use crate::app::link::{
    ControlMessage, EVENT_QUEUE, Links, PeerEvent, SESSION_QUEUE, Session, SessionFrame, SessionId, SessionPeer, Unavailable,
};

/// All connections of three nodes.
#[derive(Clone, Default)]
pub(super) struct Network(Arc<Mutex<Wires>>, Arc<AtomicU64>);

#[derive(Default)]
struct Wires {
    events: [Option<mpsc::Sender<PeerEvent>>; 3],
    /// Per pair with the lower node first.
    up: HashMap<(NodeId, NodeId), Connection>,
    epochs: u64,
}

struct Connection {
    epoch: u64,
    cut: CancellationToken,
    /// Ends of sessions that the other side has not opened yet.
    halves: HashMap<(SessionId, NodeId), SessionPeer>,
}

impl Network {
    fn wires(&self) -> MutexGuard<'_, Wires> {
        self.0.lock().unwrap()
    }

    /// A node joins; it is not connected yet.
    pub(super) fn join(&self, node: NodeId) -> (Arc<dyn Links>, mpsc::Receiver<PeerEvent>) {
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        self.wires().events[node.index()] = Some(sender);
        (Arc::new(End { network: self.clone(), own: node }), events)
    }

    /// A node's process is gone.
    pub(super) fn leave(&self, node: NodeId) {
        self.wires().events[node.index()] = None;
        self.cut(node, node.next());
        self.cut(node, node.prev());
    }

    pub(super) fn connect(&self, a: NodeId, b: NodeId) {
        let mut wires = self.wires();
        let present = [a, b].iter().all(|node| wires.events[node.index()].is_some());
        if !present || wires.up.contains_key(&pair(a, b)) {
            return;
        }
        wires.epochs += 1;
        let epoch = wires.epochs;
        let connection = Connection { epoch, cut: CancellationToken::new(), halves: HashMap::new() };
        wires.up.insert(pair(a, b), connection);
        wires.tell(a, PeerEvent::Up { node: b, epoch });
        wires.tell(b, PeerEvent::Up { node: a, epoch });
    }

    /// Every message of a session takes so long from now on.
    pub(super) fn slow_down(&self, delay: Duration) {
        self.1.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// A node passes on shield requests of its own choice.
    pub(super) fn whisper(&self, from: NodeId, to: NodeId, requests: Vec<Signed<Request>>) {
        self.wires().tell(to, PeerEvent::Message { from, message: ControlMessage::Shields { requests } });
    }

    pub(super) fn cut(&self, a: NodeId, b: NodeId) {
        let mut wires = self.wires();
        if let Some(connection) = wires.up.remove(&pair(a, b)) {
            connection.cut.cancel();
            wires.tell(a, PeerEvent::Down { node: b });
            wires.tell(b, PeerEvent::Down { node: a });
        }
    }
}

impl Wires {
    fn tell(&self, node: NodeId, event: PeerEvent) {
        if let Some(events) = &self.events[node.index()] {
            // A node that has just died no longer reads.
            let _ = events.try_send(event);
        }
    }
}

fn pair(a: NodeId, b: NodeId) -> (NodeId, NodeId) {
    (a.min(b), a.max(b))
}

struct End {
    network: Network,
    own: NodeId,
}

impl Links for End {
    fn send(&self, to: NodeId, message: ControlMessage) -> Result<(), Unavailable> {
        let wires = self.network.wires();
        if !wires.up.contains_key(&pair(self.own, to)) {
            return Err(Unavailable { node: to });
        }
        // Through its bytes, so that every message is encoded and read in every test.
        let message = ControlMessage::from_bytes(&message.to_bytes()).unwrap();
        wires.tell(to, PeerEvent::Message { from: self.own, message });
        Ok(())
    }

    fn available(&self) -> [bool; 3] {
        let wires = self.network.wires();
        NodeId::ALL.map(|node| node == self.own || wires.up.contains_key(&pair(self.own, node)))
    }

    fn open_session(&self, id: SessionId) -> Result<Session, Unavailable> {
        let mut wires = self.network.wires();
        let mut end = |node| {
            let connection = wires.up.get_mut(&pair(self.own, node)).ok_or(Unavailable { node })?;
            Ok(connection.end(id, self.own, node, &self.network.1))
        };
        let (prev, next) = (end(self.own.prev())?, end(self.own.next())?);
        Ok(Session::new(id, prev, next, Duration::from_secs(20)))
    }
}

impl Connection {
    fn end(&mut self, id: SessionId, own: NodeId, peer: NodeId, delay_ms: &Arc<AtomicU64>) -> SessionPeer {
        if let Some(half) = self.halves.remove(&(id, own)) {
            return half;
        }
        let (out_here, in_there) = wire(&self.cut, delay_ms);
        let (out_there, in_here) = wire(&self.cut, delay_ms);
        let mut key = Zeroizing::new([0u8; 32]);
        key[..16].copy_from_slice(&id.0);
        key[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        let half = SessionPeer { node: own, outgoing: out_there, incoming: in_there, key: key.clone() };
        self.halves.insert((id, peer), half);
        SessionPeer { node: peer, outgoing: out_here, incoming: in_here, key }
    }
}

/// One direction. Both ends close when the connection is cut.
fn wire(cut: &CancellationToken, delay_ms: &Arc<AtomicU64>) -> (mpsc::Sender<SessionFrame>, mpsc::Receiver<SessionFrame>) {
    let (outgoing, mut sent) = mpsc::channel::<SessionFrame>(SESSION_QUEUE);
    let (received, incoming) = mpsc::channel(SESSION_QUEUE);
    let (cut, delay_ms) = (cut.clone(), Arc::clone(delay_ms));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                biased;
                () = cut.cancelled() => return,
                frame = sent.recv() => match frame {
                    Some(frame) => {
                        tokio::time::sleep(Duration::from_millis(delay_ms.load(Ordering::SeqCst))).await;
                        if received.send(frame).await.is_err() {
                            return;
                        }
                    }
                    None => return,
                },
            }
        }
    });
    (outgoing, incoming)
}
