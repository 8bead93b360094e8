//! A way between two sockets that takes time and carries only so much: what lies between nodes in different towns.
//!
//! Each direction by itself: bytes leave one after another at the link's rate and arrive a fixed time later, in order. Losses are not
//! simulated; TCP would turn them into time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Bytes taken at once, and how many such pieces may be under way.
const PIECE: usize = 16 * 1024;
const PIECES: usize = 4096;

/// How slow links are; may be changed while they are in use.
#[derive(Debug, Default)]
pub struct Distance {
    one_way_us: AtomicU64,
    mbit_per_s: AtomicU64,
}

impl Distance {
    /// From now on bytes take so long; with `mbit_per_s` 0 as many as the machine can carry.
    pub fn set(&self, one_way: Duration, mbit_per_s: u32) {
        self.one_way_us.store(u64::try_from(one_way.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
        self.mbit_per_s.store(mbit_per_s.into(), Ordering::SeqCst);
    }

    /// How long so many bytes keep the link busy.
    fn busy(&self, bytes: usize) -> Duration {
        match self.mbit_per_s.load(Ordering::SeqCst) {
            0 => Duration::ZERO,
            // Bits by bits a microsecond.
            rate => Duration::from_nanos(8000 * bytes as u64 / rate),
        }
    }

    fn one_way(&self) -> Duration {
        Duration::from_micros(self.one_way_us.load(Ordering::SeqCst))
    }
}

/// Listens on `from` and carries every connection to `to`, until the runtime ends.
///
/// # Errors
/// When `from` cannot be listened on.
pub async fn join(from: SocketAddr, to: SocketAddr, distance: Arc<Distance>) -> io::Result<()> {
    let listener = TcpListener::bind(from).await?;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let distance = Arc::clone(&distance);
            tokio::spawn(async move {
                let Ok(far) = TcpStream::connect(to).await else { return };
                // What waits to be sent together waits here, not there.
                if near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).is_err() {
                    return;
                }
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::join!(carry(near_in, far_out, &distance), carry(far_in, near_out, &distance));
            });
        }
    });
    Ok(())
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, distance: &Distance) {
    let (pieces, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let read = async {
        let mut free = Instant::now();
        let mut buffer = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            free = free.max(Instant::now()) + distance.busy(length);
            let piece = buffer.get(..length).unwrap_or_default().to_vec();
            if pieces.send((free + distance.one_way(), piece)).await.is_err() {
                break;
            }
        }
        drop(pieces);
    };
    let write = async {
        while let Some((at, piece)) = arriving.recv().await {
            if at > Instant::now() {
                tokio::time::sleep_until(at).await;
            }
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
