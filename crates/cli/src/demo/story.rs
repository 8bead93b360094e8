//! What happened in a demonstration, as data: for `--json`, for the summary on the terminal, for the report.

use serde::Serialize;

use crate::noise::Verdict;

/// Everything that was counted. The first eight names are the interface of `commons demo --json`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Counts {
    /// People of the set who became members with their first usable photograph.
    pub(crate) enrolled: u64,
    /// Second photographs of members under new keys, refused as duplicates.
    pub(crate) duplicates_refused: u64,
    /// Second photographs that became a second record.
    pub(crate) duplicates_missed: u64,
    /// Strangers wrongly refused as duplicates.
    pub(crate) strangers_refused: u64,
    /// Members verified with another photograph of theirs.
    pub(crate) genuine_accepted: u64,
    /// Members turned away with another photograph of theirs.
    pub(crate) genuine_rejected: u64,
    /// Somebody else's photograph verified as the member.
    pub(crate) impostors_accepted: u64,
    /// Somebody else's photograph turned away.
    pub(crate) impostors_rejected: u64,
    /// Strangers who became members.
    pub(crate) strangers_enrolled: u64,
    /// Photographs read.
    pub(crate) photographs: u64,
    /// Photographs that the quality gate refused.
    pub(crate) photographs_refused: u64,
    /// Requests refused at once while a node was stopped, each naming that node.
    pub(crate) node_down_refused: u64,
    /// Requests decided while a node was stopped: none may be.
    pub(crate) node_down_decided: u64,
    /// Members who withdrew.
    pub(crate) withdrawn: u64,
    /// Members who enrolled again after they had withdrawn.
    pub(crate) enrolled_again: u64,
    /// Records that the nodes hold at the end.
    pub(crate) records_after: u64,
    /// Whether all three nodes say the same number.
    pub(crate) nodes_agree: bool,
    /// Decisions that all three nodes signed and the client checked.
    pub(crate) certificates_checked: u64,
    /// Decisions of the nodes that plaintext matching would not have made: none may be.
    pub(crate) decisions_unlike_plaintext: u64,
    /// Pairs of this demonstration's templates decided twice, on shares in memory and in the clear.
    pub(crate) pairs_compared: u64,
    /// Pairs on which the two differ.
    pub(crate) private_plaintext_differences: u64,
}

/// One person of the set: two photographs and what became of the second.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// `s1` to `s40`.
    pub(crate) name: String,
    /// Photographs as `data:` addresses, for the report.
    pub(crate) enrolled: String,
    pub(crate) second: String,
    /// What became of the second photograph; `None` when it could not be tried.
    pub(crate) refused: Option<bool>,
}

/// What one node stores about one member.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// 1, 2 or 3.
    pub(crate) node: u8,
    /// Bytes of share.
    pub(crate) share_bytes: u64,
    /// Of all stored bytes of the share, read from the node's file.
    pub(crate) noise: Verdict,
    /// All of the stored numbers, read from the node's file, between 0 and 1.
    pub(crate) field: Vec<f64>,
}

/// One member's face, template and shares.
#[derive(Debug, Clone)]
pub(crate) struct Dissolved {
    /// Mosaic of the photograph, 0 to 1, and the template likewise.
    pub(crate) face: Vec<f64>,
    pub(crate) template: Vec<f64>,
    pub(crate) template_noise: Verdict,
    pub(crate) nodes: Vec<Stored>,
}

/// A node that was stopped and started again; seconds count from the stop.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) node: u8,
    /// Whether every refusal named it.
    pub(crate) named: bool,
    /// What the member was told.
    pub(crate) told: String,
    /// How long the refusal took.
    pub(crate) refusal_ms: f64,
    /// When it was started again, and when the next request was decided.
    pub(crate) restarted_s: f64,
    pub(crate) healed_s: f64,
}

/// Someone who left.
#[derive(Debug, Clone)]
pub(crate) struct Leaving {
    pub(crate) name: String,
    /// Bytes of share per node before; afterwards none.
    pub(crate) bytes_before: [u64; 3],
    pub(crate) bytes_after: [u64; 3],
    /// Whether the bytes in all three nodes' files were seen to be zero.
    pub(crate) zeroed_on_disk: bool,
    /// What a verification was answered afterwards.
    pub(crate) then: String,
}

/// Times and sizes.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figures {
    /// The whole demonstration.
    pub(crate) seconds: f64,
    /// Capture of one photograph, by one thread.
    pub(crate) capture_ms: f64,
    /// One enrolment through the public API, alone, from signing to the checked certificate.
    pub(crate) enrolment_p50_ms: f64,
    pub(crate) enrolment_p99_ms: f64,
    /// Sent by one node for one comparison: all pairs of this demonstration, the opening of every single bit included.
    pub(crate) bytes_per_comparison: f64,
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    /// Local time with zone.
    pub(crate) when: String,
    /// Processor cores.
    pub(crate) cores: usize,
    pub(crate) counts: Counts,
    pub(crate) figures: Figures,
    pub(crate) people: Vec<Person>,
    pub(crate) dissolved: Option<Dissolved>,
    pub(crate) outage: Outage,
    pub(crate) leaving: Leaving,
}
