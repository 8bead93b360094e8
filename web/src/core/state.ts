// What the page knows right now, as signals, and the acts that change it.
import { computed, signal } from "@preact/signals";
import { client, Failed, type Begin } from "./client";
import * as passkeys from "./passkey";
import { store, type Passkey } from "./store";
import type { Charter, Decision, Kept, Member, Roster, Statements, Trouble } from "./types";

export type Phase = "starting" | "ready" | "failed";

export const phase = signal<Phase>("starting");
export const trouble = signal<Trouble | null>(null);
export const online = signal(true);
export const begin = signal<Begin | null>(null);
export const roster = signal<Roster | null>(null);
/** The sealed key in this browser. */
export const keyFile = signal<Uint8Array | null>(null);
/** The passkey that opens it, if one was made here. */
export const passkey = signal<Passkey | null>(null);
/** The public device key while the key is open. */
export const device = signal<string | null>(null);
export const expired = signal(false);
export const statements = signal<Statements | null>(null);
export const charter = signal<Charter | null>(null);
/** The version of the rules that this person last read, where it differs. */
export const rulesRead = signal<number | null>(null);
export const receipts = signal<Kept[]>([]);
/** An act of the shield that is shown over everything else. */
export const member = computed<Member | null>(() => statements.value?.member ?? null);
export const commonsName = computed(() => roster.value?.commons ?? "Trust Commons");

/** After so long without a touch the key is locked. */
export const LOCK_MINUTES = 15;

export function asTrouble(error: unknown): Trouble {
  if (error instanceof Failed) return error.trouble;
  return { code: "page-fault", text: error instanceof Error ? error.message : String(error), nodes: [] };
}

function digest(): string {
  return roster.value?.digest ?? "";
}

export async function start(): Promise<void> {
  phase.value = "starting";
  trouble.value = null;
  try {
    if (typeof WebAssembly !== "object" || typeof Worker !== "function") {
      throw new Failed({ code: "no-worker", text: "no WebAssembly", nodes: [] });
    }
    const stored = await store.setting("begin").catch(() => {
      throw new Failed({ code: "no-storage", text: "IndexedDB is not available", nodes: [] });
    });
    const told = await client.start(stored ?? null);
    begin.value = told.begin;
    roster.value = told.roster;
    online.value = told.online;
    await store.putSetting("begin", JSON.stringify(told.begin));
    keyFile.value = (await store.key(told.roster.digest)) ?? null;
    passkey.value = (await store.passkey(told.roster.digest)) ?? null;
    receipts.value = await store.receipts(told.roster.digest);
    const followed = await store.logs(told.roster.digest);
    // A record that cannot be read is of an older page: the logs are read again from their beginning.
    if (followed) await client.resume(followed).catch(() => undefined);
    phase.value = "ready";
    void loadCharter().catch(() => undefined);
  } catch (error) {
    trouble.value = asTrouble(error);
    phase.value = "failed";
  }
}

export async function loadCharter(again = false): Promise<Charter> {
  const rules = await client.charter(again);
  charter.value = rules;
  online.value = true;
  if (rules.signed) await store.putCharter(digest(), rules.digest, rules.signed);
  const read = Number((await store.setting(`rules/${digest()}`)) ?? "-1");
  rulesRead.value = read >= 0 && read !== rules.version ? read : null;
  if (read < 0) await markRulesRead();
  return rules;
}

export async function markRulesRead(): Promise<void> {
  if (!charter.value) return;
  await store.putSetting(`rules/${digest()}`, String(charter.value.version));
  rulesRead.value = null;
}

export async function refresh(): Promise<Statements> {
  const told = await client.status();
  statements.value = told;
  if (told.all) online.value = true;
  return told;
}

export async function unlock(passphrase: string, file = keyFile.value): Promise<void> {
  if (!file) throw new Failed({ code: "damaged-key", text: "there is no key", nodes: [] });
  device.value = await client.openKey(file, passphrase);
  if (file !== keyFile.value) {
    await store.putKey(digest(), file);
    keyFile.value = file;
  }
  await opened();
}

export async function unlockWithPasskey(): Promise<void> {
  if (!passkey.value) throw new Failed({ code: "passkey-cannot", text: "there is no passkey here", nodes: [] });
  device.value = await passkeys.open(passkey.value);
  await opened();
}

async function opened(): Promise<void> {
  expired.value = false;
  touch();
  await client.arrive();
  await refresh().catch(() => undefined);
  // Now, because the member uses this device; never because somebody asks for a proof.
  void client.renewPersonas().catch(() => undefined);
}

/** From now on a passkey of this device opens the key as well. */
export async function addPasskey(): Promise<void> {
  const made = await passkeys.make(commonsName.value);
  await store.putPasskey(digest(), made);
  passkey.value = made;
}

export async function removePasskey(): Promise<void> {
  await store.deletePasskey(digest());
  passkey.value = null;
}

export async function createKey(passphrase: string): Promise<void> {
  const file = await client.newKey(passphrase);
  await store.putKey(digest(), file);
  keyFile.value = file;
  device.value = await client.openKey(file, passphrase);
  expired.value = false;
  touch();
}

export async function changePassphrase(passphrase: string): Promise<void> {
  const file = await client.sealKey(passphrase);
  await store.putKey(digest(), file);
  keyFile.value = file;
}

export async function lock(because: "asked" | "expired" = "asked"): Promise<void> {
  await client.closeKey();
  device.value = null;
  statements.value = null;
  expired.value = because === "expired";
}

export async function forgetEverything(): Promise<void> {
  await lock();
  await store.forget(digest());
  keyFile.value = null;
  passkey.value = null;
  receipts.value = [];
}

export async function keep(kept: Kept): Promise<void> {
  await store.putReceipt(digest(), kept);
  receipts.value = await store.receipts(digest());
}

/** Keeps the receipt of a decision and asks again what the nodes know. */
export async function settled(decision: Decision): Promise<Decision> {
  await keep(decision.receipt);
  await refresh().catch(() => undefined);
  return decision;
}

/** The receipt of the operation that made a grant, if it is here. */
export const originOf = (grant: string): Kept | undefined => receipts.value.find((kept) => kept.summary.operation === grant);

/** Fetches what was decided while this browser was away. */
export async function fetchHistory() {
  const told = await client.history(receipts.value, await store.charters(digest()));
  for (const kept of told.receipts) await store.putReceipt(digest(), kept);
  if (told.receipts.length) receipts.value = await store.receipts(digest());
  return told;
}

export async function followLogs() {
  const logs = await client.follow();
  await store.putLogs(digest(), await client.followed());
  return logs;
}

let timer: ReturnType<typeof setTimeout> | undefined;
let lockAfter = LOCK_MINUTES * 60_000;

/** The person is here: the key stays open for another while. */
export function touch(): void {
  clearTimeout(timer);
  if (device.value) timer = setTimeout(() => void lock("expired"), lockAfter);
}

/** For tests: lock sooner. */
export function lockIn(ms: number): void {
  lockAfter = ms;
  touch();
}
