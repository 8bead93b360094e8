//! What an altered message does: a wrong length names its sender, an altered opening is contradicted by the other holder, and
//! nothing panics.

use super::*;
use crate::batch::CheckInputs;
use crate::driver::run_with;
use crate::error::{Abort, Cause, Phase};
use crate::protocol::{Outgoing, Protocol};

type Tamper<'a> = &'a mut dyn FnMut(usize, NodeId, &mut Outgoing);

/// Runs each protocol with the same tampering.
fn run_all(tamper: Tamper<'_>) -> Vec<Result<Run<Vec<bool>>, Abort>> {
    let matching = embedding(6);
    let shared = Shared::new(&matching, &faces(6, 5, 2));
    let galleries = shared.galleries(&matching, &[]);
    let adder = Adder::Ripple;
    let search = each(|n, keys| Search::new(keys, &matching, &galleries[n], &shared.probes(n), adder).unwrap());
    // Three waves that share their rounds, so that one ends and tosses coins while others go on.
    let long = [0, 1, 2].map(|n| {
        let mut gallery = Gallery::new(6);
        (0..140).for_each(|slot| {
            gallery.push(shared.records[n][slot % 5].values());
        });
        gallery
    });
    let waves =
        each(|n, keys| Search::new(keys, &matching, &long[n], &shared.probes(n), adder).unwrap().with_waves(64 * 5, 2));
    let twins = each(|n, keys| {
        let records: Vec<&RecordShare> = shared.records[n].iter().collect();
        Twins::new(keys, &matching, &shared.probes(n), &records, &[true; 5], adder).unwrap()
    });
    let verify = each(|n, keys| Verify::new(keys, &matching, &galleries[n], &[(&shared.probes[n][0], 1)], adder).unwrap());
    let check =
        each(|n, keys| CheckInputs::new(keys, &matching, &shared.inputs[n].iter().collect::<Vec<_>>(), adder).unwrap());
    vec![run(search, tamper), run(waves, tamper), run(twins, tamper), run(verify, tamper), run(check, tamper)]
}

fn run<P: Protocol<Output = Vec<bool>>>(parties: [P; 3], tamper: Tamper<'_>) -> Result<Run<Vec<bool>>, Abort> {
    run_with(parties, tamper)
}

/// More rounds than any protocol above takes: 15 rounds of 16 bits or 31 of 32 (or two waves of 16 one after the other, another beside
/// the first), reshare, coins, mask, opening.
const ROUNDS: usize = 38;

#[test]
fn a_message_of_another_length_names_its_sender_in_every_round() {
    let honest: Vec<usize> = run_all(&mut |_, _, _| ()).into_iter().map(|run| run.unwrap().rounds).collect();
    assert!(honest.iter().all(|rounds| *rounds <= ROUNDS));
    for round in 0..ROUNDS {
        for cheat in NodeId::ALL {
            for (longer, to_prev) in [(true, true), (true, false), (false, true), (false, false)] {
                let results = run_all(&mut |at, node, outgoing| {
                    let message = if to_prev { &mut outgoing.to_prev } else { &mut outgoing.to_next };
                    if at == round && node == cheat {
                        if longer { message.push(0) } else { message.clear() }
                    }
                });
                for (result, rounds) in results.into_iter().zip(&honest) {
                    match result {
                        Err(Abort { culprit, cause: Cause::Length { .. }, .. }) => assert_eq!(culprit, Some(cheat)),
                        // An extra byte after 16 coin bytes shifts them, which looks like other coins.
                        Err(Abort { phase: Phase::Coins, cause: Cause::Disagreement, .. }) => assert!(longer),
                        Err(abort) => panic!("{abort}"),
                        // Nothing was sent in that round, or nothing could be taken away.
                        Ok(_) => assert!(round >= *rounds || (!longer && !to_prev)),
                    }
                }
            }
        }
    }
}

#[test]
fn an_altered_byte_never_panics_and_openings_are_compared() {
    let honest: Vec<usize> = run_all(&mut |_, _, _| ()).into_iter().map(|run| run.unwrap().rounds).collect();
    for round in 0..ROUNDS {
        for cheat in NodeId::ALL {
            for to_prev in [true, false] {
                let results = run_all(&mut |at, node, outgoing| {
                    let message = if to_prev { &mut outgoing.to_prev } else { &mut outgoing.to_next };
                    if let (true, true, Some(byte)) = (at == round, node == cheat, message.last_mut()) {
                        *byte ^= 0x10;
                    }
                });
                // The last three rounds carry coins, masked combinations and openings. Coins and openings have two holders;
                // what was altered before them is not detected in stage 1 and may spoil the answer.
                for (result, rounds) in results.into_iter().zip(&honest) {
                    let phase = match rounds.checked_sub(round) {
                        Some(1) => Phase::Open,
                        Some(3) => Phase::Coins,
                        _ => continue,
                    };
                    let cause = Cause::Disagreement;
                    assert_eq!(result.unwrap_err(), Abort { phase, culprit: None, cause });
                }
            }
        }
    }
}

#[test]
fn diverging_keys_abort_at_an_opening() {
    // Node 2 has run one protocol more than the others: its masks do not cancel.
    let matching = embedding(6);
    let shared = Shared::new(&matching, &faces(6, 5, 2));
    let galleries = shared.galleries(&matching, &[]);
    let mut number = 0;
    let parties = test_keys(11).map(|mut session| {
        number += 1;
        if number == 2 {
            session.next_protocol();
        }
        let n = number - 1;
        Search::new(session.next_protocol(), &matching, &galleries[n], &shared.probes(n), Adder::Ripple).unwrap()
    });
    let abort = run_local(parties, Schedule::Threads).unwrap_err();
    assert_eq!((abort.phase, abort.cause), (Phase::Coins, Cause::Disagreement));
}

#[test]
fn a_round_before_the_start_is_an_error() {
    let matching = embedding(6);
    let gallery = Gallery::new(6);
    let [keys, ..] = keys();
    let party = Search::new(keys, &matching, &gallery, &[], Adder::Ripple).unwrap();
    let Err(abort) = party.round(Default::default()) else { panic!("not started") };
    assert_eq!(abort.cause, Cause::NotStarted);
}
