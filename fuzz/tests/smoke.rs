//! The fuzz targets over mutated seeds, on the stable toolchain: no coverage to guide it, yet every decoder meets cut, longer,
//! flipped and spliced inputs on every run. Seeded: a failure repeats, and names its target and input.

use fuzz::{TARGETS, Target};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

fn below(random: &mut ChaCha8Rng, limit: usize) -> usize {
    (random.next_u64() % limit.max(1) as u64) as usize
}

/// One to four changes of the kinds that break decoders.
fn mutate(seeds: &[Vec<u8>], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = seeds[below(random, seeds.len())].clone();
    for _ in 0..=below(random, 4) {
        let at = below(random, bytes.len() + 1);
        match random.next_u32() % 8 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.next_u32() as u8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at < bytes.len() => bytes[at] ^= 1 << (random.next_u32() % 8),
            4 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(random, 5)],
            // Length fields: four bytes that claim everything or nothing.
            5 if at + 4 <= bytes.len() => {
                bytes[at..at + 4].copy_from_slice(&[[0xff; 4], [0; 4], [0, 0, 0, 0x7f]][below(random, 3)])
            }
            6 => {
                let other = &seeds[below(random, seeds.len())];
                let from = below(random, other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let end = at + below(random, bytes.len() - at + 1).min(64);
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn smoke(target: &Target) {
    let seeds = (target.seeds)();
    for seed in &seeds {
        (target.run)(seed);
    }
    let mut random = ChaCha8Rng::seed_from_u64(
        target.name.bytes().fold(1u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte))),
    );
    for round in 0..target.smoke {
        let input = mutate(&seeds, &mut random);
        let ended = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(ended.is_ok(), "target {} panicked in round {round} on {input:02x?}", target.name);
    }
}

#[test]
fn seeds_are_accepted() {
    for target in &TARGETS {
        assert!(!(target.seeds)().is_empty(), "{} has no seed", target.name);
    }
    for request in (TARGETS[0].seeds)() {
        types::sign::Signed::<types::message::Request>::from_bytes(&request).expect("a request");
    }
}

macro_rules! smoke_tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            smoke(TARGETS.iter().find(|target| target.name == stringify!($name)).expect("a target of this name"));
        })*

        #[test]
        fn every_target_has_a_smoke_test_and_a_fuzz_target() {
            let tested = [$(stringify!($name)),*];
            for target in &TARGETS {
                assert!(tested.contains(&target.name), "{}", target.name);
                let file = format!("{}/fuzz_targets/{}.rs", env!("CARGO_MANIFEST_DIR"), target.name);
                assert!(std::fs::exists(&file).unwrap_or(false), "{file} is missing");
            }
        }
    };
}

smoke_tests! { request certificate statement share_package roster profile json_body npy index vector picture key_file peer_frame control_message segment handover_manifest
    log_entry signed_note add_checkpoint witness_reply tile log_policy tlog_proof log_conflict log_evidence monitor_state
    charter_document judged_request receipt guardian_text guarding
    authorize_query proof_request web_token sd_jwt persona escrow wallet
}
