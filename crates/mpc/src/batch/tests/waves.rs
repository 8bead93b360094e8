//! Chunks, waves, threads and work ahead change neither answers nor messages; memory stays bounded.

use super::*;
use crate::batch::matching::ProbeRows;
use crate::driver::run_with;
use crate::error::Abort;
use crate::protocol::{Incoming, Outgoing, Protocol, Step};

/// A party that works ahead after every message, up to so many pieces, and looks at its state.
struct Eager<P, F> {
    party: P,
    pieces: usize,
    look: F,
}

impl<P: Protocol, F: Fn(&P)> Eager<P, F> {
    fn work(&mut self) {
        let mut pieces = 0;
        while pieces < self.pieces && self.party.work_ahead() {
            pieces += 1;
        }
        (self.look)(&self.party);
    }
}

impl<P: Protocol, F: Fn(&P)> Protocol for Eager<P, F> {
    type Output = P::Output;

    fn start(&mut self) -> Outgoing {
        let outgoing = self.party.start();
        self.work();
        outgoing
    }

    fn round(self, incoming: Incoming) -> Result<Step<Self, P::Output>, Abort> {
        let Self { party, pieces, look } = self;
        Ok(match party.round(incoming)? {
            Step::Continue(party, outgoing) => {
                let mut eager = Self { party, pieces, look };
                eager.work();
                Step::Continue(eager, outgoing)
            }
            Step::Finish(output) => Step::Finish(output),
        })
    }
}

/// How the nodes work. Waves are common to all; the rest is each node's own affair.
#[derive(Clone, Copy)]
struct Way {
    wave: usize,
    depth: usize,
    threads: [usize; 3],
    ahead: [usize; 3],
}

/// Answers, and every message of every node.
fn run_search(matching: &Matching, galleries: &[Gallery; 3], probes: &Shared, way: Way) -> (Vec<bool>, Vec<Outgoing>) {
    let parties = each(|n, keys| {
        let search = Search::new(keys, matching, &galleries[n], &probes.probes(n), Adder::Ripple).unwrap();
        let party = search.with_waves(way.wave, way.depth).with_threads(way.threads[n]);
        Eager { party, pieces: way.ahead[n], look: |_: &Search<&Gallery>| () }
    });
    let mut messages = Vec::new();
    let run = run_with(parties, |_, _, outgoing| messages.push(outgoing.clone())).unwrap();
    (agreed(run), messages)
}

#[test]
fn waves_threads_and_work_ahead_agree_with_the_oracle() {
    let matching = embedding(6);
    let all = faces(6, 1_300, 9);
    // Sizes around words and lines, and several waves of several chunks.
    for records in [0, 1, 63, 64, 65, 511, 512, 513, 1_290] {
        let probes = Shared::new(&matching, &all[1_290..]);
        let masked = [records as u32 / 2];
        let galleries = Shared::new(&matching, &all[..records]).galleries(&matching, &masked);
        let active = || all[..records].iter().enumerate().filter(|(slot, _)| *slot != records / 2);
        let expected: Vec<bool> =
            all[1_290..].iter().map(|probe| active().any(|(_, record)| matches(probe, record, &matching))).collect();
        for (wave, depth) in [(1, 1), (64 * 10, 1), (64 * 10, 3), (64 * 10, 100), (300 * 10, 1), (300 * 10, 8), (1 << 21, 1)]
        {
            let alone = Way { wave, depth, threads: [1; 3], ahead: [0; 3] };
            let (answers, messages) = run_search(&matching, &galleries, &probes, alone);
            assert_eq!(answers, expected, "{records} records, {depth} times {wave} in flight");
            for (threads, ahead) in [([1, 2, 4], [0, 1, 9]), ([3, 1, 2], [usize::MAX; 3])] {
                let (answers, same) = run_search(&matching, &galleries, &probes, Way { threads, ahead, ..alone });
                assert_eq!(answers, expected);
                assert!(same == messages, "{records} records, {depth} times {wave} in flight: other messages");
            }
        }
    }
}

/// Enough work for every place where threads are started: products, gates, combination.
#[test]
fn threads_change_nothing_in_large_waves() {
    let matching = embedding(128);
    let few = faces(128, 40, 3);
    let record = Shared::new(&matching, &few[..36]);
    let galleries = [0, 1, 2].map(|n| {
        let mut gallery = Gallery::new(128);
        (0..70_001).for_each(|slot| {
            gallery.push(record.records[n][slot % 36].values());
        });
        gallery
    });
    let probes = Shared::new(&matching, &[&few[2..6], &few[36..]].concat());
    let alone = Way { wave: 1 << 21, depth: 1, threads: [1; 3], ahead: [0; 3] };
    let (answers, messages) = run_search(&matching, &galleries, &probes, alone);
    let expected: Vec<bool> = [&few[2..6], &few[36..]]
        .concat()
        .iter()
        .map(|probe| few[..36].iter().any(|record| matches(probe, record, &matching)))
        .collect();
    assert_eq!(answers, expected);
    let (answers, same) = run_search(&matching, &galleries, &probes, Way { threads: [4, 2, 3], ..alone });
    assert!(answers == expected && same == messages);
    let alone = Way { wave: 1 << 17, depth: 3, ..alone };
    let (answers, messages) = run_search(&matching, &galleries, &probes, alone);
    assert_eq!(answers, expected);
    let (answers, same) =
        run_search(&matching, &galleries, &probes, Way { threads: [4, 2, 3], ahead: [0, 1, usize::MAX], ..alone });
    assert!(answers == expected && same == messages);
}

/// A thread's room still holds the scores of the chunk before: none of them may leave with the padding of this one.
#[test]
fn padding_is_zero_whatever_the_room_held() {
    let matching = embedding(6);
    let all = faces(6, 103, 8);
    let galleries = Shared::new(&matching, &all[..100]).galleries(&matching, &[]);
    let probes = Shared::new(&matching, &all[100..]);
    for n in NodeId::ALL {
        let rows = ProbeRows::new(n, &matching, 0, &probes.probes(n.index())).unwrap();
        let scores = |slots, mut room: Vec<u16>| {
            rows.scores(&galleries[n.index()], slots, &mut room);
            room
        };
        for slots in [0..100, 0..64, 64..100, 64..65] {
            let fresh = scores(slots.clone(), Vec::new());
            assert_eq!(fresh, scores(slots.clone(), vec![0xABCD; 4_096]), "{n:?} {slots:?}");
            assert_eq!(fresh, scores(slots, vec![0xABCD; 7]));
        }
    }
}

#[test]
fn memory_does_not_grow_with_the_gallery_or_with_waiting() {
    let matching = embedding(8);
    let few = faces(8, 64, 4);
    let record = Shared::new(&matching, &few);
    let probes = Shared::new(&matching, &few[..16]);
    let in_flight = 1 << 17;
    // The most that node 2 holds, at any time, of comparisons in flight. A slow peer leaves it time to work ahead without end.
    let most = |records: usize, depth: usize| {
        let galleries = [0, 1, 2].map(|n| {
            let mut gallery = Gallery::new(8);
            (0..records).for_each(|slot| {
                gallery.push(record.records[n][slot % 64].values());
            });
            gallery
        });
        let most = std::cell::Cell::new(0);
        let parties = each(|n, keys| {
            let party = Search::new(keys, &matching, &galleries[n], &probes.probes(n), Adder::Ripple).unwrap();
            let most = &most;
            let look = move |search: &Search<&Gallery>| {
                if n == 1 {
                    most.set(most.get().max(search.resident_bytes()));
                }
            };
            Eager { party: party.with_waves(in_flight / depth, depth), pieces: usize::MAX, look }
        });
        assert_eq!(agreed(run_with(parties, |_, _, _| ()).unwrap()), [true; 16]);
        most.get()
    };
    for depth in [1, 4] {
        let [short, long] = [3, 12].map(|waves| most(waves * in_flight / 16, depth));
        assert_eq!(short, long, "three times and twelve times what is in flight, {depth} waves at once");
        // In flight and ahead: planes, messages, one layer of bits: 28 bytes per comparison in flight.
        assert!(long <= 28 * in_flight, "{} bytes per comparison", long as f64 / in_flight as f64);
    }
}
