//! What the fuzz targets reach of the links. Only with the feature `fuzzing`, which no shipped binary has.

use std::time::Duration;

use super::frame::Frame;
use crate::link::{SessionFrame, SessionId};

/// Reads frames until one is refused or the bytes end.
pub async fn read_frames(bytes: &[u8]) {
    let mut from = bytes;
    while Frame::read(&mut from, Duration::from_secs(1)).await.is_ok() {}
}

/// One frame of each kind, as it goes over the wire.
pub fn sample_frames() -> Vec<Vec<u8>> {
    let session = SessionId([7; 16]);
    let data = SessionFrame { session, round: 3, last: true, payload: vec![1, 2, 3] };
    let frames = [
        Frame::Hello(vec![1; 40]),
        Frame::Ping,
        Frame::Control(vec![2; 20]),
        Frame::Data(data),
        Frame::Credit { session, frames: 9 },
        Frame::Close { session },
    ];
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return Vec::new() };
    let encode = |frame: &Frame| {
        let mut bytes = Vec::new();
        runtime.block_on(frame.write(&mut bytes)).ok().map(|()| bytes)
    };
    frames.iter().filter_map(encode).collect()
}
