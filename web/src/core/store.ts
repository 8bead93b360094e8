// What stays in this browser: the key file (sealed under the passphrase), receipts, charters once seen, what was followed of the logs, and
// the files of personas and guardians, sealed to the key. By commons, so that one page can meet several. Who reads it learns what receipts
// say; nobody opens the key without the passphrase or the passkey. The worker uses this module, too.
import type { Kept } from "./types";

const NAME = "trust-commons";
const VERSION = 2;
const STORES = ["keys", "receipts", "charters", "logs", "settings", "files", "passkeys"] as const;
type StoreName = (typeof STORES)[number];

/** A passkey that opens the key: `file` is the key under what the passkey makes of `salt`. */
export interface Passkey {
  id: Uint8Array;
  salt: Uint8Array;
  file: Uint8Array;
}

let opened: Promise<IDBDatabase> | null = null;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((done, failed) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      for (const name of STORES) if (!request.result.objectStoreNames.contains(name)) request.result.createObjectStore(name);
    };
    request.onsuccess = () => {
      // A window with a newer page waits for this one to let go.
      request.result.onversionchange = () => (request.result.close(), (opened = null));
      done(request.result);
    };
    request.onerror = () => failed(request.error);
  });
  return opened;
}

/** Everything of one commons. */
const of = (commons: string, begin = "") => IDBKeyRange.bound(`${commons}/${begin}`, `${commons}/${begin}\uffff`);

async function run<T>(name: StoreName, mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await open();
  return new Promise((done, failed) => {
    // What is written must lie on the disk before the nodes hear of it.
    const transaction = db.transaction(name, mode, { durability: mode === "readwrite" ? "strict" : "default" });
    const request = act(transaction.objectStore(name));
    transaction.oncomplete = () => done(request.result);
    transaction.onerror = transaction.onabort = () => failed(transaction.error);
  });
}

export const store = {
  key: (commons: string) => run<Uint8Array | undefined>("keys", "readonly", (s) => s.get(commons)),
  putKey: (commons: string, file: Uint8Array) => run("keys", "readwrite", (s) => s.put(file, commons)),
  deleteKey: (commons: string) => run("keys", "readwrite", (s) => s.delete(commons)),

  async receipts(commons: string): Promise<Kept[]> {
    const kept = await run<Kept[]>("receipts", "readonly", (s) => s.getAll(of(commons)));
    return kept.sort((a, b) => a.receipt.log_index - b.receipt.log_index);
  },
  putReceipt: (commons: string, kept: Kept) => run("receipts", "readwrite", (s) => s.put(kept, `${commons}/${kept.summary.operation}`)),

  async charters(commons: string): Promise<string[]> {
    return run<string[]>("charters", "readonly", (s) => s.getAll(of(commons)));
  },
  putCharter: (commons: string, digest: string, signed: string) => run("charters", "readwrite", (s) => s.put(signed, `${commons}/${digest}`)),

  logs: (commons: string) => run<Uint8Array | undefined>("logs", "readonly", (s) => s.get(commons)),
  putLogs: (commons: string, state: Uint8Array) => run("logs", "readwrite", (s) => s.put(state, commons)),

  /** Removes the key, the receipts, the files and what was followed under them. */
  async forget(commons: string): Promise<void> {
    await run("keys", "readwrite", (s) => s.delete(commons));
    await run("passkeys", "readwrite", (s) => s.delete(commons));
    await run("receipts", "readwrite", (s) => s.delete(of(commons)));
    await run("files", "readwrite", (s) => s.delete(of(commons)));
    await run("logs", "readwrite", (s) => s.delete(commons));
  },

  passkey: (commons: string) => run<Passkey | undefined>("passkeys", "readonly", (s) => s.get(commons)),
  putPasskey: (commons: string, passkey: Passkey) => run("passkeys", "readwrite", (s) => s.put(passkey, commons)),
  deletePasskey: (commons: string) => run("passkeys", "readwrite", (s) => s.delete(commons)),

  /** Files of personas and guardians; the Rust client names and seals them. */
  file: (commons: string, name: string) => run<Uint8Array | undefined>("files", "readonly", (s) => s.get(`${commons}/${name}`)),
  files: (commons: string, begin: string) => run<Uint8Array[]>("files", "readonly", (s) => s.getAll(of(commons, begin))),
  putFile: (commons: string, name: string, bytes: Uint8Array) => run("files", "readwrite", (s) => s.put(bytes, `${commons}/${name}`)),
  deleteFile: (commons: string, name: string) => run("files", "readwrite", (s) => s.delete(`${commons}/${name}`)),

  setting: (name: string) => run<string | undefined>("settings", "readonly", (s) => s.get(name)),
  putSetting: (name: string, value: string) => run("settings", "readwrite", (s) => s.put(value, name)),
};
