// The page's side of the worker: one typed function for each call.
import type {
  Approvals, Asked, Ask, Audit, Charter, Checked, Code, Context, Decision, Finished, GuardedShare, Guardians, History, Kept, Logs, NodeFacts, Persona, Personas, Plea, Quality,
  RecoveryStatus, Roster, Seen, Shares, Shielded, Shown, ShownPersona, Started, Statements, Terms, Trouble,
} from "./types";
import type { components } from "../api/schema";

/** Something did not work; `trouble.code` finds the words. */
export class Failed extends Error {
  constructor(readonly trouble: Trouble) {
    super(trouble.text);
  }
}

type Waiting = { done: (value: unknown) => void; failed: (error: Failed) => void; progress?: (part: number) => void };

let worker: Worker | null = null;
const waiting = new Map<number, Waiting>();
let next = 1;

function ask<T>(method: string, args: unknown[] = [], progress?: (part: number) => void, transfer: Transferable[] = []): Promise<T> {
  if (!worker) {
    worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "client" });
    worker.onmessage = ({ data }) => {
      const one = waiting.get(data.id);
      if (!one) return;
      if ("progress" in data) return one.progress?.(data.progress);
      waiting.delete(data.id);
      if (data.trouble) one.failed(new Failed(data.trouble));
      else one.done(data.value);
    };
    worker.onerror = () => {
      for (const one of waiting.values()) one.failed(new Failed({ code: "no-worker", text: "the client could not be started", nodes: [] }));
      waiting.clear();
    };
  }
  const id = next++;
  return new Promise<T>((done, failed) => {
    waiting.set(id, { done: done as (value: unknown) => void, failed, progress });
    worker!.postMessage({ id, method, args }, transfer);
  });
}

export type Begin = components["schemas"]["PageBody"];
export type Witnesses = (components["schemas"]["LogBody"] | null)[];
export interface Pixels {
  rgba: Uint8Array;
  width: number;
  height: number;
}

const pixels = (method: string) => <T>({ rgba, width, height }: Pixels) => ask<T>(method, [rgba, width, height], undefined, [rgba.buffer as ArrayBuffer]);

export const client = {
  start: (stored: string | null) => ask<{ begin: Begin; online: boolean; roster: Roster }>("start", [stored]),
  models: (progress?: (part: number) => void) => ask<null>("models", [], progress),
  hasModels: () => ask<boolean>("has_models"),

  newKey: (passphrase: string) => ask<Uint8Array>("new_key", [passphrase]),
  openKey: (file: Uint8Array, passphrase: string) => ask<string>("open_key", [file, passphrase]),
  sealKey: (passphrase: string) => ask<Uint8Array>("seal_key", [passphrase]),
  closeKey: () => ask<void>("close_key"),
  sealKeyForPasskey: (secret: Uint8Array) => ask<Uint8Array>("seal_key_for_passkey", [secret]),
  openKeyWithPasskey: (file: Uint8Array, secret: Uint8Array) => ask<string>("open_key_with_passkey", [file, secret]),
  arrive: () => ask<void>("arrive"),

  personas: () => ask<Personas>("personas"),
  context: (source: string) => ask<{ context: Context; persona: Persona | null }>("context", [source]),
  newPersona: (source: string, label: string) =>
    ask<{ persona: Persona; new: boolean; decision: Decision | null; fetched: number | null }>("new_persona", [source, label]),
  renewPersonas: () => ask<number | null>("renew_personas"),
  readChallenge: (source: string, from: string) => ask<Asked>("read_challenge", [source, from]),
  prove: (source: string, to: string) => ask<ShownPersona>("prove", [source, to]),
  personaCode: (pseudonym: string) => ask<Code>("persona_code", [pseudonym]),
  checkCode: (code: string, context: string) => ask<Seen>("check_code", [code, context]),
  retirePersona: (pseudonym: string) => ask<Persona>("retire_persona", [pseudonym]),
  reveal: (one: string, other: string, key?: string, nonce?: string) => ask<{ file: string; to: string | null }>("reveal", [one, other, key, nonce]),
  checkReveal: (source: string, nonce?: string) => ask<[Seen, Seen]>("check_reveal", [source, nonce]),
  walletFile: () => ask<Uint8Array>("wallet_file"),
  bringWallet: (file: Uint8Array) => ask<Personas>("bring_wallet", [file]),

  guardians: () => ask<Guardians>("guardians"),
  setGuardians: (need: number, leave: string[], newcomers: { name: string; code: string }[]) =>
    ask<Decision>("set_guardians", [need, leave, JSON.stringify(newcomers)]),
  handedOut: () => ask<void>("handed_out"),
  guardianCode: () => ask<string>("guardian_code"),
  guarded: () => ask<GuardedShare[]>("guarded"),
  acceptShare: (source: string, label: string) => ask<GuardedShare[]>("accept_share", [source, label]),
  readPlea: (source: string) => ask<Plea>("read_plea", [source]),
  approvePlea: (source: string, label: string, until: number) => ask<string>("approve_plea", [source, label, until]),
  refusePlea: (source: string) => ask<void>("refuse_plea", [source]),
  plead: () => ask<{ text: string; number: string }>("plead"),
  readApprovals: (texts: string[]) => ask<Approvals>("read_approvals", [texts]),
  startRecovery: (texts: string[], withSample: boolean) => ask<Started>("start_recovery", [texts, withSample]),
  recoveryStatus: () => ask<RecoveryStatus | null>("recovery_status"),
  finishRecovery: () => ask<Finished>("finish_recovery"),

  look: (picture: Pixels) => pixels("look")<Quality>(picture),
  capturePixels: (picture: Pixels) => pixels("capture_pixels")<Quality>(picture),
  capture: (photograph: Uint8Array) => ask<Quality>("capture", [photograph]),
  forgetSample: () => ask<void>("forget_sample"),

  enrol: (note: string) => ask<Decision>("enrol", [note]),
  verify: (note: string) => ask<Decision>("verify", [note]),
  renew: (note: string) => ask<Decision>("renew", [note]),
  withdraw: () => ask<Decision>("withdraw"),
  grant: (terms: Terms) => ask<Decision>("grant", [JSON.stringify(terms)]),
  narrow: (grant: string, expiresAt: number | undefined, uses: number | undefined, origin?: Kept) =>
    ask<Decision>("narrow", [grant, expiresAt, uses, origin && JSON.stringify(origin)]),
  revoke: (grant: string, origin?: Kept) => ask<Decision>("revoke", [grant, origin && JSON.stringify(origin)]),
  approve: (id: string, terms: Terms) => ask<Decision>("approve", [id, JSON.stringify(terms)]),
  refuse: (id: string) => ask<Decision>("refuse", [id]),
  veto: (recovery: string) => ask<Decision>("veto", [recovery]),
  shieldUp: () => ask<Shielded>("shield_up"),
  shieldDown: (restore: string[]) => ask<Decision>("shield_down", [restore]),

  facts: () => ask<NodeFacts[]>("facts"),
  witnesses: () => ask<Witnesses>("witnesses"),
  charter: (again = false) => ask<Charter>("charter", [again]),
  status: () => ask<Statements>("status"),
  inspect: () => ask<Statements>("inspect"),
  see: (id: string) => ask<Ask>("see", [id]),

  history: (known: Kept[], charters: string[]) => ask<History>("history", [JSON.stringify(known), charters]),
  check: (receipt: Kept) => ask<Checked>("check", [JSON.stringify(receipt)]),
  complete: (receipt: Kept) => ask<Kept>("complete", [JSON.stringify(receipt)]),
  resume: (state: Uint8Array) => ask<void>("resume", [state]),
  followed: () => ask<Uint8Array>("followed"),
  follow: () => ask<Logs>("follow"),
  audit: (receipts: Kept[], told: number[]) => ask<Audit>("audit", [JSON.stringify(receipts), Uint32Array.from(told)]),

  showTemplate: (photograph: Uint8Array) => ask<Shown>("show_template", [photograph]),
  showTemplateOfPixels: (picture: Pixels) => pixels("show_template_of_pixels")<Shown>(picture),
  showShares: (values: Uint32Array) => ask<Shares>("show_shares", [values]),
  template: (photograph: Uint8Array) => ask<string>("template", [photograph]),
};
