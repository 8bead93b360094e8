//! BBS signatures over BLS12-381 with SHA-256: blind issuing and proofs with a pseudonym.
//!
//! Specification: draft-irtf-cfrg-bbs-signatures-13 (core), draft-irtf-cfrg-bbs-blind-signatures-02 (commitments),
//! draft-irtf-cfrg-bbs-per-verifier-linkability-03 (pseudonyms, with a secret of length one).
//!
//! Why the operations are written here, over the same curve library that zkryptium uses, and not called there: its prover takes
//! randomness from the operating system, which a core may not; its decoders index past the end of short input; and its proof
//! verifier of version 0.8.0 accepts the identity point, with which anybody forges a proof (`identity_points_forge_nothing` in
//! this module's tests plays that attack). It stays as the other implementation: proofs go both ways in the tests, and the npm
//! implementation checks what the drafts share.
//!
//! **In scope**: scalars, points, signatures, proofs. **Out of scope**: what the messages mean (the crate's other modules).

mod group;
mod proof;
mod signature;
mod suite;

pub(crate) use group::{G1, combine, combine_public, read_point, read_scalar, write_point};
pub(crate) use proof::{Claimed, Nym, PairingCheck, Shown, proof_len, prove, verify};
pub(crate) use signature::{SIGNATURE_LEN, check_commitment, commit, key_from_material, public_key, sign, verify_signature};
pub(crate) use suite::{PublicKey, Stream, base_of, hash_to_scalar, interface, message_scalar};

#[cfg(test)]
mod peer_tests;
#[cfg(test)]
mod tests;
