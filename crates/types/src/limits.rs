//! Every bound in one place. A queue, body, loop or batch without a line here is a bug.

/// Bytes of one signed request (without the sealed share): a charter and what is around it.
pub const REQUEST_BYTES: usize = CHARTER_BYTES + 4 * 1024;
/// Bytes of a charter.
pub const CHARTER_BYTES: usize = 48 * 1024;
/// Bytes of a receipt in JSON: a request, a certificate and a charter in base64, the charter's text, the consent record.
pub const RECEIPT_BYTES: usize = 8 * REQUEST_BYTES;
/// Standing grants of one member that have not ended.
pub const GRANTS_PER_MEMBER: usize = 256;
/// Asks that wait for one member.
pub const ASKS_PER_MEMBER: usize = 64;
/// Asks of one relying party that wait for an answer.
pub const ASKS_PER_PARTY: usize = 10_000;
/// Grants or asks in one statement to a relying party.
pub const STATED_GRANTS: usize = 500;
/// Events in one statement.
pub const STATED_EVENTS: usize = 64;
/// Vouchers in one enrolment.
pub const VOUCHERS: usize = 16;
/// Claims about one member that are signed into a credential: one of each kind.
pub const CLAIMS: usize = 3;
/// Bytes of what one claim says.
pub const CLAIM_BYTES: usize = 64;
/// Shield requests that a node holds while the nodes have not decided them, such as while one is down.
pub const UNSETTLED_SHIELDS: usize = 32_768;
/// Guardians of one member.
pub const GUARDIANS: usize = 16;
/// Recoveries of one member that wait at the same time.
pub const RECOVERIES: usize = 4;
/// Ended recoveries of one member in a statement.
pub const STATED_RECOVERIES: usize = 16;
/// Former devices of one member in a statement.
pub const FORMER_DEVICES: u64 = 64;
/// Characters of a guardian's code after its first word.
pub const GUARDIAN_CODE_CHARS: usize = 64;
/// Seconds for which a guardian's approval may hold.
pub const APPROVAL_LIFETIME_S: u64 = 30 * 24 * 3600;
/// Nodes that may have been replaced in the life of a commons.
pub const SUCCESSIONS: usize = 64;
/// Profiles that may be added in the life of a commons.
pub const ADDITIONS: usize = 32;
/// Acts of operators in one message between nodes.
pub const OPERATORS_ACTS: usize = 16;
/// Bytes of one signed request other than a charter's.
pub const PLAIN_REQUEST_BYTES: usize = 8 * 1024;
/// Seconds an ask may wait for its answer.
pub const ASK_LIFETIME_S: u64 = 30 * 24 * 3600;
/// Seconds a standing grant may last, whatever a charter says.
pub const GRANT_LIFETIME_S: u64 = 5 * 366 * 24 * 3600;
/// Uses of one standing grant.
pub const GRANT_USES: u32 = 1_000_000;
/// Seconds of one epoch of credentials.
pub const EPOCH_S: std::ops::RangeInclusive<u32> = 10..=31 * 24 * 3600;
/// Bytes of the name of a commons, which credentials carry.
pub const COMMONS_NAME_BYTES: usize = 64;
/// Bytes of the attributes of one credential.
pub const ATTRIBUTES_BYTES: usize = 1024;
/// Refused attempts that a node remembers for one member.
pub const REFUSALS_PER_MEMBER: usize = 64;
/// Coordinates a template may have (an iris record has 19,200).
pub const TEMPLATE_COORDINATES: usize = 32_768;
/// Bytes of one template's share: an explicit component of 4 bytes per coordinate, one seed, salts.
pub const SHARE_BYTES: usize = 4 * TEMPLATE_COORDINATES + 512;
/// Bytes of what is sealed to one node: the shares of two templates of one sample, HPKE overhead.
pub const SEALED_SHARE_BYTES: usize = 2 * SHARE_BYTES + 512;
/// Bytes of one HTTP body: request and sealed shares in base64, with room for JSON.
pub const HTTP_BODY_BYTES: usize = 512 * 1024;
/// Bytes of one signed answer. An inspection carries a third of a stored share.
pub const ANSWER_BYTES: usize = 512 * 1024;
/// Seconds a request may be valid for at most.
pub const REQUEST_LIFETIME_S: u64 = 600;
/// Seconds that the clocks of a client and a node, or of two nodes, may differ.
pub const CLOCK_SKEW_S: u64 = 60;
/// Operations decided in one batch.
pub const BATCH_OPERATIONS: usize = 512;
/// Probe rows matched in one batch (an embedding has one row, an iris code 31).
pub const BATCH_PROBE_ROWS: usize = 512;
/// Comparisons a node holds in memory at once; bounds the messages of matching to half of [`PEER_FRAME_BYTES`].
pub const CHUNK_COMPARISONS: usize = 1 << 21;
/// Operations waiting for a batch on one node.
pub const PENDING_OPERATIONS: usize = 4096;
/// Bytes of shares waiting for a batch on one node.
pub const PENDING_BYTES: usize = 256 * 1024 * 1024;
/// Bytes that must be free on the disk of a node's data before it takes part in a batch: room for the batch, its log and what a
/// later compaction copies, and for shields, which are kept even when nothing else is.
pub const STORAGE_RESERVE_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes of one frame between nodes.
pub const PEER_FRAME_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a roster or profile file.
pub const CONFIG_FILE_BYTES: usize = 256 * 1024;
/// Characters of a purpose text in a grant.
pub const PURPOSE_CHARS: usize = 200;
/// Bytes of one photograph.
pub const PICTURE_BYTES: usize = 32 * 1024 * 1024;
/// Pixels of one photograph.
pub const PICTURE_PIXELS: u64 = 64_000_000;
/// Pixels along one side of a photograph.
pub const PICTURE_SIDE: u32 = 16_384;
/// Bytes of one model file.
pub const MODEL_BYTES: usize = 512 * 1024 * 1024;
/// Bytes of one vector in JSON.
pub const VECTOR_FILE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of a file of many templates, or of its index.
pub const TEMPLATE_FILE_BYTES: usize = 2 * 1024 * 1024 * 1024 - 1;
/// Bytes of one log entry.
pub const LOG_ENTRY_BYTES: usize = 256;
/// Bytes of a signed note, hence of a checkpoint.
pub const NOTE_BYTES: usize = 64 * 1024;
/// Signature lines of a signed note.
pub const NOTE_SIGNATURES: usize = 16;
/// Bytes of a key name, hence of a log's origin.
pub const KEY_NAME_BYTES: usize = 200;
/// Bytes of one request to a witness: 63 hashes and a checkpoint.
pub const ADD_CHECKPOINT_BYTES: usize = 4 * 1024 + NOTE_BYTES;
/// Bytes of one offline proof.
pub const TLOG_PROOF_BYTES: usize = 8 * 1024 + NOTE_BYTES;
/// Bytes of the extra line of an offline proof, decoded.
pub const TLOG_PROOF_EXTRA_BYTES: usize = 1024;
/// Bytes of a transparency log policy.
pub const POLICY_BYTES: usize = 64 * 1024;
/// Logs, witnesses and groups, of each, in a policy.
pub const POLICY_NAMES: usize = 32;
/// Bytes of log evidence: an entry and three offline proofs.
pub const LOG_EVIDENCE_BYTES: usize = 3 * TLOG_PROOF_BYTES + 1024;
/// Bytes of what a monitor keeps about one log.
pub const MONITOR_STATE_BYTES: usize = 64 * 1024 * 1024;
/// Entries that one log may be ahead of another while a monitor compares them.
pub const MONITOR_AHEAD: usize = 1 << 24;
/// Wrong entries that a monitor describes in one step; it counts all.
pub const MONITOR_FINDINGS: usize = 1000;
/// Seconds by which an entry may be dated before a cosignature on a checkpoint without it.
pub const LOG_DATING_SLACK_S: u64 = 3600;
