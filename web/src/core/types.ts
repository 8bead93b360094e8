// What the worker answers: the JSON of crates/wasm (`view`, `trouble`). Times are seconds since 1970.

export interface Trouble {
  code: string;
  text: string;
  nodes: number[];
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
  approvals: number;
  compared: boolean;
  can_veto: boolean;
  since: number;
  opens_at: number;
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
    modalities?: { profile: string; threshold: string }[];
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
