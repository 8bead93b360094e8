//! Which records move when members have left, so that searches do not grow slower with the people who are gone.
//!
//! A withdrawn record is masked and its bytes are overwritten at once; its slot is the first to be given to a newcomer. Only when
//! more leave than come do holes remain. Then the last records move into the lowest holes and the end is cut off. What moves
//! follows from the slots in use alone, which are the same on all three nodes after the same batches; so the bound below is part of
//! what the nodes agree on, and no setting. (`docs/decisions/0007-mapped-segments.md`)

use mpc::gallery::Gallery;
use mpc::kernel::layout::PAIR_RECORDS;

/// Holes that stay in a gallery of `slots` slots: a quarter of them, and the records that the kernels handle at once anyway.
fn bound(slots: usize) -> usize {
    slots / 4 + PAIR_RECORDS
}

/// The next moves, from slot to slot, at most `most` of them; none when few enough holes are left.
pub(super) fn moves(gallery: &Gallery, most: usize) -> Vec<(u32, u32)> {
    let mut holes = gallery.len() - gallery.active();
    let mut from = gallery.active_slots_backwards().peekable();
    let mut moves = Vec::new();
    for to in gallery.free_slots() {
        let Some(last) = from.next() else { break };
        if moves.len() == most || holes <= bound(last as usize + 1) || to >= last {
            break;
        }
        moves.push((last, to));
        // One hole is filled, and the end is now after the next record.
        let end = from.peek().map_or(0, |next| *next as usize + 1);
        holes -= 1 + (last as usize - end.min(last as usize));
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gallery(active: &[bool]) -> Gallery {
        let mut gallery = Gallery::new(2);
        for active in active {
            let slot = gallery.push(&[1, 2]);
            if !active {
                gallery.mask(slot);
            }
        }
        gallery.trim();
        gallery
    }

    /// Bits of a small linear generator.
    fn pattern(len: usize, seed: u64, keep_of_16: u64) -> Vec<bool> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 60 < keep_of_16
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn few_holes_stay() {
        assert!(moves(&gallery(&[]), 512).is_empty());
        assert!(moves(&gallery(&pattern(1_000, 1, 14)), 512).is_empty());
        let mut short = vec![false; 32];
        short.push(true);
        assert!(moves(&gallery(&short), 512).is_empty());
    }

    #[test]
    fn the_last_records_fill_the_first_holes_until_few_are_left() {
        for seed in 0..40usize {
            let active = pattern(1_500, seed as u64, 1 + seed as u64 % 12);
            let mut now = gallery(&active);
            let (before, most) = (now.active(), 1 + (seed * 7) % 100);
            loop {
                let step = moves(&now, most);
                if step.is_empty() {
                    break;
                }
                assert!(step.len() <= most);
                for (from, to) in step {
                    assert!(to < from && now.is_masked(to) && !now.is_masked(from));
                    assert_eq!(now.free_slots().next(), Some(to), "the lowest");
                    assert_eq!(now.active_slots_backwards().next(), Some(from), "the last");
                    assert!(now.len() - now.active() > bound(now.len()), "no move without need");
                    now.admit(to);
                    now.mask(from);
                    now.trim();
                }
            }
            assert_eq!(now.active(), before);
            assert!(now.len() - now.active() <= bound(now.len()), "seed {seed}");
        }
    }
}
