// What the worker answers: the JSON of crates/wasm (`view`, `trouble`). Times are seconds since 1970.

export interface Trouble {
  code: string;
  text: string;
  nodes: number[];
  /** Which of several texts, from 0. */
  place?: number;
}

export interface Profile {
  id: string;
  modality: string;
  description: string;
  accuracy: { data: string; fmr?: number; fnmr?: number; eer?: number } | null;
  threshold: string;
  values: number;
  models: { file: string; sha256: string }[];
}

export interface Roster {
  commons: string;
  digest: string;
  throw_away: boolean;
  nodes: { node: number; operator: string; url: string; signing_key: string; log_key: string }[];
  profiles: Profile[];
}

export type Operation = "membership" | "verification";

export interface Terms {
  party: string;
  operation: Operation;
  profile: string | null;
  purpose: string;
  note: string;
  not_before: number;
  expires_at: number;
  uses: number;
}

export interface Ask {
  ask: string;
  terms: Terms;
  subject: string | null;
  answer_by: number;
  since: number;
}

export interface Grant {
  grant: string;
  subject: string;
  terms: Terms;
  state: "active" | "suspended" | "revoked";
  uses_left: number;
  since: number;
  last_used: number | null;
}

export interface Member {
  member: string;
  since: number;
  metadata_bytes: number;
  shield: number | null;
  records: { profile: string; since: number; share_bytes: number; sample: number[] | null }[];
  grants: Grant[];
  asks: Ask[];
  guarded: Guarded | null;
  former_devices: number;
}

export interface Recovery {
  recovery: string;
  device: string;
  number: string;
  approvals: number;
  compared: boolean;
  can_veto: boolean;
  since: number;
  opens_at: number;
  closes_at: number;
  state: "waiting" | "vetoed" | "finished" | "over";
}

export interface Guarded {
  guardians: number;
  need: number;
  recoveries: Recovery[];
}

export interface Statements {
  nodes: { node: number; batch?: number; member?: Member | null; trouble?: Trouble }[];
  agree: boolean;
  all: boolean;
  /** Since when this device is nobody's, because its member recovered to another one. */
  replaced: number | null;
  member: Member | null;
}

export interface Outcome {
  name: string;
  member?: string;
  matched?: boolean;
  records?: number;
  grant?: string;
  subject?: string;
  finding?: string;
  uses_left?: number;
  grants?: number;
  asks?: number;
  settled_at?: number;
  opens_at?: number;
  can_veto?: boolean;
  fault?: string;
}

/** A receipt as it is kept; `client::receipt::Kept`. */
export interface Kept {
  version: number;
  summary: {
    action: string;
    outcome: string;
    operation: string;
    batch: number;
    decided_at: number;
    party?: string;
    purpose?: string;
    note?: string;
  };
  receipt: { log_index: number; [key: string]: unknown };
  log?: { entry: string; proofs: [string, string, string] };
}

export interface Decision {
  outcome: Outcome;
  operation: string;
  batch: number;
  decided_at: number;
  log_index: number;
  receipt: Kept;
  unproven: Trouble | null;
  silent: number[];
  complaints: { node: number; text: string }[];
}

export interface Checked {
  lines: { label: string; text: string }[];
  logs: { opened: boolean; kind: string; logs: { node: number; size: number; cosigned: [string, number][] }[] } | null;
  outcome: Outcome;
  log_index: number;
  charter: number;
}

export interface Party {
  id: string;
  name: string;
  contact: string;
  operations: Operation[];
  purposes: string[];
  profiles: string[];
  max_uses: number;
  max_days: number;
}

export interface Charter {
  version: number;
  digest: string;
  text: string;
  signed: string | null;
  reveals: Record<Operation, string>;
  document: {
    name: string;
    summary: string;
    jurisdiction: string;
    privacy_notice: string;
    enrolment: { rule: string; vouchers: number };
    retention: { outcomes_days: number; uses_days: number };
    rates: { verifications_per_hour: number; asks_per_member_per_day: number };
    controllers?: { name: string; contact: string }[];
    modalities?: { profile: string; threshold: string; replaces?: string }[];
    purposes?: { term: string; title: string; text: string; operations: string[] }[];
    parties?: Party[];
    [key: string]: unknown;
  };
}

export interface NodeFacts {
  node: number;
  facts?: {
    commons: string;
    version: string;
    batch: number;
    records: Record<string, number>;
    peers: { node: number; available: boolean }[];
  };
  trouble?: Trouble;
}

export interface LogEntry {
  index: number;
  kind: string;
  at: number;
  party: string | null;
  purpose: string | null;
  mine: boolean;
}

export interface Logs {
  at: number;
  agreed: number;
  logs: { node: number; size: number; root: string; checkpoint: string | null }[];
  by_kind: Record<string, number>;
  by_day: Record<string, number>;
  by_purpose: { party: string; purpose: string; count: number }[];
  entries: LogEntry[];
  mine: number[];
  problems: Trouble[];
}

export interface Quality {
  confidence: number;
  eye_distance: number;
  brightness: number;
  sharpness: number;
  [key: string]: number;
}

export interface Shares {
  values: number[];
  shares: [number[], number[], number[]];
}

export interface Shown {
  coordinates: number[];
  shared: Shares;
  quality: Quality;
}

export interface Audit {
  orphans: { index: number; kind: string; at: number; party: string | null }[];
  unmarked: string[];
  broken: { operation: string; trouble: Trouble }[];
}

export interface History {
  receipts: Kept[];
  unexplained: number[];
  silent: number[];
  complaints: Trouble[];
}

export interface Shielded {
  statements: Statements;
  decision: Decision | null;
}

export interface Context {
  id: string;
  verifier: string;
  kind: "standing" | "one-time" | "masquerade";
  opens: number | null;
  closes: number | null;
  demands: { attribute: string; one_of: string[]; value: string | null }[];
  open: boolean;
  digest: string;
}

export interface Disclosed {
  attribute: string;
  value: string;
}

export type Use =
  | { at: number; act: "shown"; disclosed: Disclosed[] }
  | { at: number; act: "carried"; to: string; disclosed: Disclosed[] }
  | { at: number; act: "revealed"; other: string; to_one: boolean }
  | { at: number; act: "refused"; why: string };

export interface Persona {
  pseudonym: string;
  label: string;
  context: { id: string; verifier: string; kind: Context["kind"]; opens?: number; closes?: number };
  since: number;
  retired: number | null;
  glyph: { name: string; description: string; svg: string };
  uses: Use[];
}

export interface Personas {
  wallet: boolean;
  bound?: boolean;
  credentials?: number;
  renew_at?: number;
  personas: Persona[];
}

/** What a verifier asks. */
export interface Asked {
  kind: "challenge" | "request";
  context: Context;
  persona: Persona | null;
  expires_at: number;
  /** Of a web site's request. */
  to?: string;
  digits?: string;
  answer?: string;
}

export interface ShownPersona {
  persona: Persona;
  presentation: string;
  disclosed: Disclosed[];
  to: string;
}

export interface Code {
  code: string;
  made_at: number;
  svg: string;
  description: string;
}

/** Another person's persona. */
export interface Seen {
  pseudonym: string;
  name: string;
  svg: string;
  description?: string;
  context?: string;
  verifier?: string;
}

export interface Guardians {
  need: number;
  next_need: { need: number; from: number } | null;
  guardians: { name: string | null; share: string; counts: boolean; from: number; until: number | null }[];
  /** All that this browser knows by name. */
  named: string[];
  recoveries: Recovery[];
  /** Shares that wait to be given to their guardians. */
  handout: { name: string; text: string }[];
  now: number;
}

export interface GuardedShare {
  for: string;
  share: string;
}

/** A new device's request for approval. */
export interface Plea {
  number: string;
  device: string;
  at: number;
  shares: string[];
  refused: boolean;
}

export interface Approvals {
  approvals: number;
  repeated: number[];
  until: number | null;
}

export interface Started {
  decision: Decision;
  place: number | null;
}

export interface RecoveryStatus {
  recovery: string;
  mine: Recovery | null;
  ready: boolean;
  now: number;
}

export interface Finished {
  member: string;
  grants: number;
  personas: boolean | null;
  decision: Decision | null;
}
