//! Frames between two nodes: `u32` length (little-endian, of all that follows), one byte of kind, body.
//!
//! | kind | body | meaning |
//! |---|---|---|
//! | 0 hello | [`super::hello::Hello`] | first frame of each side, once |
//! | 1 ping | - | sign of life |
//! | 2 control | `ControlMessage::to_bytes` | between the sequencers |
//! | 3 data | session, round, last, payload | a piece of one round's message |
//! | 4 credit | session, `u32` | so many more data frames of this session may come |
//! | 5 close | session | no more data of this session |
//!
//! A length is checked against the limit of its kind before a byte of the body is read.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use types::limits;

use super::fault::Fault;
use crate::link::{SESSION_FRAME_BYTES, SessionFrame, SessionId};

const HELLO: u8 = 0;
const PING: u8 = 1;
const CONTROL: u8 = 2;
const DATA: u8 = 3;
const CREDIT: u8 = 4;
const CLOSE: u8 = 5;

/// Bytes before the payload of a data frame, after the kind.
const DATA_HEADER: usize = 16 + 4 + 1;
/// Largest hello.
const HELLO_BYTES: usize = 1024;

/// What travels on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Hello(Vec<u8>),
    Ping,
    Control(Vec<u8>),
    Data(SessionFrame),
    Credit { session: SessionId, frames: u32 },
    Close { session: SessionId },
}

impl Frame {
    /// Bytes on the wire (before TLS).
    pub(crate) fn wire_bytes(&self) -> usize {
        5 + match self {
            Self::Hello(bytes) | Self::Control(bytes) => bytes.len(),
            Self::Ping => 0,
            Self::Data(frame) => DATA_HEADER + frame.payload.len(),
            Self::Credit { .. } => 20,
            Self::Close { .. } => 16,
        }
    }

    /// Writes header and body.
    pub(crate) async fn write<W: AsyncWrite + Unpin>(&self, to: &mut W) -> Result<(), Fault> {
        let length =
            u32::try_from(self.wire_bytes() - 4).map_err(|_| Fault::FrameTooLarge { got: self.wire_bytes() as u64 })?;
        let mut head = Vec::with_capacity(5 + DATA_HEADER);
        head.extend_from_slice(&length.to_le_bytes());
        let payload: &[u8] = match self {
            Self::Hello(bytes) => {
                head.push(HELLO);
                bytes
            }
            Self::Ping => {
                head.push(PING);
                &[]
            }
            Self::Control(bytes) => {
                head.push(CONTROL);
                bytes
            }
            Self::Data(frame) => {
                head.push(DATA);
                head.extend_from_slice(&frame.session.0);
                head.extend_from_slice(&frame.round.to_le_bytes());
                head.push(u8::from(frame.last));
                &frame.payload
            }
            Self::Credit { session, frames } => {
                head.push(CREDIT);
                head.extend_from_slice(&session.0);
                head.extend_from_slice(&frames.to_le_bytes());
                &[]
            }
            Self::Close { session } => {
                head.push(CLOSE);
                head.extend_from_slice(&session.0);
                &[]
            }
        };
        to.write_all(&head).await.map_err(Fault::io)?;
        to.write_all(payload).await.map_err(Fault::io)?;
        Ok(())
    }

    /// Reads one frame. `idle` is the longest silence between two bytes.
    pub(crate) async fn read<R: AsyncRead + Unpin>(from: &mut R, idle: Duration) -> Result<Self, Fault> {
        let mut head = [0u8; 5];
        fill(from, &mut head, idle).await?;
        let [a, b, c, d, kind] = head;
        let length = u32::from_le_bytes([a, b, c, d]);
        let body = (length as usize).checked_sub(1).ok_or(Fault::Malformed)?;
        let (least, most) = match kind {
            HELLO => (1, HELLO_BYTES),
            PING => (0, 0),
            CONTROL => (1, limits::PEER_FRAME_BYTES),
            DATA => (DATA_HEADER, DATA_HEADER + SESSION_FRAME_BYTES),
            CREDIT => (20, 20),
            CLOSE => (16, 16),
            kind => return Err(Fault::UnknownFrame { kind }),
        };
        if body > most {
            return Err(Fault::FrameTooLarge { got: u64::from(length) });
        }
        if body < least {
            return Err(Fault::Malformed);
        }
        if kind == DATA {
            return read_data(from, body - DATA_HEADER, idle).await;
        }
        let mut bytes = vec![0; body];
        fill(from, &mut bytes, idle).await?;
        Ok(match kind {
            HELLO => Self::Hello(bytes),
            CONTROL => Self::Control(bytes),
            PING => Self::Ping,
            CREDIT => {
                let (session, frames) = bytes.split_first_chunk().ok_or(Fault::Malformed)?;
                let frames = u32::from_le_bytes(frames.try_into().map_err(|_| Fault::Malformed)?);
                Self::Credit { session: SessionId(*session), frames }
            }
            _ => Self::Close { session: SessionId(bytes.try_into().map_err(|_| Fault::Malformed)?) },
        })
    }
}

async fn read_data<R: AsyncRead + Unpin>(from: &mut R, payload: usize, idle: Duration) -> Result<Frame, Fault> {
    let mut head = [0u8; DATA_HEADER];
    fill(from, &mut head, idle).await?;
    let (session, rest) = head.split_first_chunk::<16>().ok_or(Fault::Malformed)?;
    let (round, last) = rest.split_first_chunk::<4>().ok_or(Fault::Malformed)?;
    let last = match last {
        [0] => false,
        [1] => true,
        _ => return Err(Fault::Malformed),
    };
    let mut bytes = vec![0; payload];
    fill(from, &mut bytes, idle).await?;
    Ok(Frame::Data(SessionFrame { session: SessionId(*session), round: u32::from_le_bytes(*round), last, payload: bytes }))
}

/// Fills `buffer`; any byte that arrives restarts the clock, so a large frame on a slow line is not silence.
async fn fill<R: AsyncRead + Unpin>(from: &mut R, buffer: &mut [u8], idle: Duration) -> Result<(), Fault> {
    let mut rest = buffer;
    while !rest.is_empty() {
        let read = tokio::time::timeout(idle, from.read(rest)).await.map_err(|_| Fault::Silent)?.map_err(Fault::io)?;
        if read == 0 {
            return Err(Fault::Closed);
        }
        rest = rest.split_at_mut(read).1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(1);

    fn samples() -> Vec<Frame> {
        let session = SessionId([7; 16]);
        vec![
            Frame::Hello(vec![1, 2, 3]),
            Frame::Ping,
            Frame::Control(vec![9; 300]),
            Frame::Data(SessionFrame { session, round: 5, last: true, payload: vec![] }),
            Frame::Data(SessionFrame { session, round: 6, last: false, payload: vec![3; SESSION_FRAME_BYTES] }),
            Frame::Credit { session, frames: 4 },
            Frame::Close { session },
        ]
    }

    #[tokio::test]
    async fn frames_survive_the_wire() {
        for frame in samples() {
            let mut bytes = Vec::new();
            frame.write(&mut bytes).await.unwrap();
            assert_eq!(bytes.len(), frame.wire_bytes());
            assert_eq!(Frame::read(&mut bytes.as_slice(), IDLE).await.unwrap(), frame);
            bytes.pop();
            assert!(matches!(Frame::read(&mut bytes.as_slice(), IDLE).await, Err(Fault::Closed)));
        }
    }

    #[tokio::test]
    async fn oversized_and_unknown_frames_are_refused_before_the_body() {
        let head = |length: u32, kind: u8| [&length.to_le_bytes()[..], &[kind]].concat();
        let cases =
            [(u32::MAX, CONTROL), (u32::try_from(limits::PEER_FRAME_BYTES).unwrap() + 2, CONTROL), (2, PING), (2000, HELLO)];
        for (length, kind) in cases {
            let refused = Frame::read(&mut head(length, kind).as_slice(), IDLE).await;
            assert!(matches!(refused, Err(Fault::FrameTooLarge { .. })), "{length} {kind}");
        }
        let data = u32::try_from(DATA_HEADER + SESSION_FRAME_BYTES + 2).unwrap();
        let refused = Frame::read(&mut head(data, DATA).as_slice(), IDLE).await;
        assert!(matches!(refused, Err(Fault::FrameTooLarge { .. })));
        assert!(matches!(Frame::read(&mut head(1, 99).as_slice(), IDLE).await, Err(Fault::UnknownFrame { kind: 99 })));
        for (length, kind) in [(0, PING), (1, CONTROL), (16, CLOSE), (20, CREDIT), (21, DATA)] {
            assert!(matches!(Frame::read(&mut head(length, kind).as_slice(), IDLE).await, Err(Fault::Malformed)));
        }
    }

    #[tokio::test]
    async fn no_bytes_panic_the_reader() {
        use rand_chacha::ChaCha20Rng;
        use rand_chacha::rand_core::{Rng, SeedableRng};
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        for round in 0..20_000_u32 {
            let mut bytes = vec![0; (round % 90) as usize];
            rng.fill_bytes(&mut bytes);
            // Half of them get a plausible head.
            if let (0, Some(head)) = (round % 2, bytes.first_chunk_mut::<5>()) {
                *head = [head[0] % 64, 0, 0, 0, head[4] % 7];
            }
            if let Ok(frame) = Frame::read(&mut bytes.as_slice(), IDLE).await {
                let mut again = Vec::new();
                frame.write(&mut again).await.unwrap();
                assert!(bytes.starts_with(&again), "one frame has one encoding");
            }
        }
    }

    #[tokio::test]
    async fn silence_is_noticed() {
        let (mut here, _there) = tokio::io::duplex(64);
        let silent = Frame::read(&mut here, Duration::from_millis(20)).await;
        assert!(matches!(silent, Err(Fault::Silent)));
    }
}
