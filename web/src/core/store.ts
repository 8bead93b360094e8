// What stays in this browser: the key file (sealed under the passphrase), receipts, charters once seen, and what was followed of the logs.
// By commons, so that one page can meet several. Who reads it learns what receipts say; nobody opens the key without the passphrase.
import type { Kept } from "./types";

const NAME = "trust-commons";
const STORES = ["keys", "receipts", "charters", "logs", "settings"] as const;
type StoreName = (typeof STORES)[number];

let opened: Promise<IDBDatabase> | null = null;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((done, failed) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => STORES.forEach((name) => request.result.createObjectStore(name));
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
  return opened;
}

async function run<T>(name: StoreName, mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const db = await open();
  return new Promise((done, failed) => {
    const transaction = db.transaction(name, mode);
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
    const range = IDBKeyRange.bound(`${commons}/`, `${commons}0`, false, true);
    const kept = await run<Kept[]>("receipts", "readonly", (s) => s.getAll(range));
    return kept.sort((a, b) => a.receipt.log_index - b.receipt.log_index);
  },
  putReceipt: (commons: string, kept: Kept) => run("receipts", "readwrite", (s) => s.put(kept, `${commons}/${kept.summary.operation}`)),

  async charters(commons: string): Promise<string[]> {
    return run<string[]>("charters", "readonly", (s) => s.getAll(IDBKeyRange.bound(`${commons}/`, `${commons}0`, false, true)));
  },
  putCharter: (commons: string, digest: string, signed: string) => run("charters", "readwrite", (s) => s.put(signed, `${commons}/${digest}`)),

  logs: (commons: string) => run<Uint8Array | undefined>("logs", "readonly", (s) => s.get(commons)),
  putLogs: (commons: string, state: Uint8Array) => run("logs", "readwrite", (s) => s.put(state, commons)),

  /** Removes the key, the receipts and what was followed under them. */
  async forget(commons: string): Promise<void> {
    await run("keys", "readwrite", (s) => s.delete(commons));
    await run("receipts", "readwrite", (s) => s.delete(IDBKeyRange.bound(`${commons}/`, `${commons}0`, false, true)));
    await run("logs", "readwrite", (s) => s.delete(commons));
  },

  setting: (name: string) => run<string | undefined>("settings", "readonly", (s) => s.get(name)),
  putSetting: (name: string, value: string) => run("settings", "readwrite", (s) => s.put(value, name)),
};
