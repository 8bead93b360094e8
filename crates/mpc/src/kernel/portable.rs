//! The kernel for any processor: plain loops over fixed-size arrays, which the compiler turns into the vector
//! instructions that the target always has (SSE2, NEON).

#![expect(clippy::indexing_slicing, reason = "numeric code; constant array lengths, and slices cut to size before the loop")]

use super::blocking::{self, Products};
use super::layout::{GROUP_RECORDS, Line, PLANE_LINES, QUAD, Run, TILE_LINES};
use super::probes::{Probes, TILE_STEPS};

/// One word of each record of a group.
type Lanes = [u16; GROUP_RECORDS];

pub(super) fn products(run: &Run<'_>, probes: &Probes, out: &mut Products<'_>) {
    let mut words = Vec::new();
    for piece in blocking::pieces(run, probes, blocking::LONG_PIECE_TILES) {
        for (half, group) in run.pair(piece.pair, &piece.tiles).into_iter().enumerate() {
            let first = piece.first_record() + half * GROUP_RECORDS;
            unpack(group, &mut words);
            for block in probes.word_blocks() {
                for row in 0..block.rows {
                    let sums = product(&words, block.steps(&piece.tiles), block.width, row);
                    let segment = out.segment(block.first_row + row, first, GROUP_RECORDS);
                    for (out, sum) in segment.iter_mut().zip(sums) {
                        *out = if piece.starts { sum } else { out.wrapping_add(sum) };
                    }
                }
            }
        }
    }
}

/// Turns byte planes into words, in the order of the probes' word form: coordinates 0, 2, 1, 3 of each quad.
fn unpack(group: &[Line], words: &mut Vec<Lanes>) {
    words.clear();
    for tile in group.chunks_exact(TILE_LINES) {
        let (low, high) = tile.split_at(PLANE_LINES);
        for (low, high) in low.iter().zip(high) {
            // Whole 32-bit words at a time: two registers of bytes become two of words by shifts and masks alone.
            let [low, high] = [low, high].map(|line| -> [u32; GROUP_RECORDS] {
                let (quads, _) = line.0.as_chunks::<QUAD>();
                std::array::from_fn(|r| u32::from_le_bytes(quads[r]))
            });
            for (low, high) in [(low, high.map(|h| h << 8)), (low.map(|l| l >> 8), high)] {
                let pairs: [u32; GROUP_RECORDS] = std::array::from_fn(|r| low[r] & 0x00ff_00ff | high[r] & 0xff00_ff00);
                words.push(pairs.map(|pair| (pair & 0xffff) as u16));
                words.push(pairs.map(|pair| (pair >> 16) as u16));
            }
        }
    }
}

/// Inner products of one probe row with the 16 records of a group.
fn product(words: &[Lanes], steps: &[u32], width: usize, row: usize) -> Lanes {
    let mut sums = [0u16; GROUP_RECORDS];
    debug_assert_eq!(words.len(), 2 * steps.len() / width);
    for (pair, step) in words.chunks_exact(2).zip(steps.chunks_exact(width)) {
        let [b0, b1, b2, b3] = step[row].to_le_bytes();
        let (p, q) = (u16::from_le_bytes([b0, b1]), u16::from_le_bytes([b2, b3]));
        for (sum, (x, y)) in sums.iter_mut().zip(pair[0].iter().zip(&pair[1])) {
            *sum = sum.wrapping_add(x.wrapping_mul(p)).wrapping_add(y.wrapping_mul(q));
        }
    }
    sums
}

const _: () = assert!(TILE_STEPS * 2 == PLANE_LINES * QUAD);
