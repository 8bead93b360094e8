/// <reference lib="webworker" />
// The worker in which the Rust client runs: it holds the open key and the captured template, and makes every call to a node. The page
// asks by message and gets plain values back; heavy work never blocks it.
import init, { Commons, template_for_test } from "../wasm/commons.js";
import type { components } from "../api/schema";
import createClient from "openapi-fetch";
import type { paths } from "../api/schema";
import { store } from "./store";

declare const self: DedicatedWorkerGlobalScope;

type Answer = { status: number; body: Uint8Array } | { silence: "unreached" | "lost" | "too-large" };

const PROBE_MS = 4_000;
const ANSWER_MS = 60_000;
/** For so long an answer shows that a node can be reached, so that a call need not knock first. */
const FRESH_MS = 3_000;

let urls: string[] = [];
/** Names this commons. */
let digest = "";
const reached = [0, 0, 0];

/** Did the node answer at all? What it says does not matter. */
async function knock(node: number): Promise<boolean> {
  if (Date.now() - (reached[node - 1] ?? 0) < FRESH_MS) return true;
  try {
    await fetch(`${urls[node - 1]}/healthz`, { signal: AbortSignal.timeout(PROBE_MS), cache: "no-store", credentials: "omit" });
    reached[node - 1] = Date.now();
    return true;
  } catch {
    return false;
  }
}

async function read(response: Response, most: number): Promise<Uint8Array | null> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  if (!reader) return new Uint8Array();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > most) {
      await reader.cancel();
      return null;
    }
    parts.push(value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// What `crates/wasm/src/shell.rs` calls. A browser does not tell whether a failed call reached a node, so a call that may change
// something knocks first: what was not sent certainly was not seen.
const shell = {
  async call(node: number, path: string, body: Uint8Array | undefined, most: number): Promise<Answer> {
    if (body && !(await knock(node))) return { silence: "unreached" };
    try {
      const request: RequestInit = { signal: AbortSignal.timeout(ANSWER_MS), credentials: "omit", redirect: "error" };
      if (body) Object.assign(request, { method: "POST", headers: { "content-type": "application/json" }, body });
      const response = await fetch(`${urls[node - 1]}${path}`, request);
      const bytes = await read(response, most);
      reached[node - 1] = Date.now();
      return bytes ? { status: response.status, body: bytes } : { silence: "too-large" };
    } catch {
      reached[node - 1] = 0;
      return { silence: "lost" };
    }
  },
  sleep: (ms: number) => new Promise((done) => setTimeout(done, ms)),
  read: (name: string) => store.file(digest, name),
  list: (begin: string) => store.files(digest, begin),
  // A copy: what Rust hands over is a view of its memory.
  keep: (name: string, bytes: Uint8Array) => store.putFile(digest, name, bytes.slice()),
  forget: (name: string) => store.deleteFile(digest, name),
};
Object.assign(globalThis, { commonsShell: shell });

let commons: Commons | null = null;
let begin: components["schemas"]["PageBody"] | null = null;

function ready(): Commons {
  if (!commons) throw JSON.stringify({ code: "not-ready", text: "the client is not loaded", nodes: [] });
  return commons;
}

/** Fetches with progress, through the browser's cache. */
async function fetchModel(file: string, sha256: string, progress: (bytes: number) => void): Promise<Uint8Array> {
  const failed = { code: "models-missing", text: `the face model ${file} could not be fetched`, nodes: [] };
  const response = await fetch(`/models/${file}?sha256=${sha256}`).catch(() => null);
  if (!response?.ok || !response.body) throw JSON.stringify(failed);
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    length += value.length;
    progress(value.length);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Sizes of the three models together, for the progress bar; only an estimate. */
const MODELS_BYTES = 7_266_000;

let loading: Promise<void> | null = null;

/** Of every profile of photographs: a sample may be asked for in two of them. */
async function loadModels(report: (part: number) => void): Promise<void> {
  const client = ready();
  if (client.has_models()) return;
  const roster = JSON.parse(client.roster()) as { profiles: { id: string; models: { file: string; sha256: string }[] }[] };
  const profiles = roster.profiles.filter((one) => one.models.length === 3);
  if (!profiles.length) throw JSON.stringify({ code: "models-missing", text: "no profile names models", nodes: [] });
  const wanted = new Map(profiles.flatMap((one) => one.models).map((model) => [model.sha256, model]));
  let got = 0;
  const progress = (bytes: number) => {
    got += bytes;
    report(Math.min(0.97, got / (MODELS_BYTES * (wanted.size / 3))));
  };
  const fetched = await Promise.all(
    [...wanted.values()].map(async ({ file, sha256 }) => [sha256, await fetchModel(file, sha256, progress).catch((error: unknown) => error as string)] as const),
  );
  const byHash = new Map(fetched);
  // A node may not serve the models of a profile that came later, and that nobody asks for yet.
  for (const [index, { id, models }] of profiles.entries()) {
    const [detect, landmark, embed] = models.map((model) => byHash.get(model.sha256));
    const missing = [detect, landmark, embed].find((model) => !(model instanceof Uint8Array));
    if (missing !== undefined && index === 0) throw missing;
    if (missing === undefined) client.load_models(id, detect as Uint8Array, landmark as Uint8Array, embed as Uint8Array);
  }
  report(1);
}

const own = {
  /** Loads the client and the commons of `page` (what `GET /v1/page` said), or asks for it. */
  async start(stored: string | null): Promise<string> {
    await init();
    const asked = await createClient<paths>({ baseUrl: self.location.origin }).GET("/v1/page").catch(() => null);
    if (asked?.data) begin = asked.data;
    else if (stored) begin = JSON.parse(stored);
    else throw JSON.stringify({ code: "no-page", text: "this node does not say who the three nodes are", nodes: [] });
    urls = begin!.urls;
    commons = new Commons(begin!.roster);
    const roster = JSON.parse(commons.roster()) as { digest: string };
    digest = roster.digest;
    return JSON.stringify({ begin, online: !!asked?.data, roster });
  },
  async models(id: number): Promise<string> {
    const report = (part: number) => self.postMessage({ id, progress: part });
    loading ??= loadModels(report).finally(() => (loading = null));
    await loading;
    return "null";
  },
  /** What a node says of its own log: who has cosigned. Not signed, for people. */
  async witnesses(): Promise<string> {
    const all = await Promise.all(
      urls.map(async (url) => {
        const client = createClient<paths>({ baseUrl: url });
        return (await client.GET("/v1/log").catch(() => null))?.data ?? null;
      }),
    );
    return JSON.stringify(all);
  },
  template(photograph: Uint8Array): string {
    return template_for_test(ready(), photograph);
  },
};

const PLAIN = new Set(["followed", "new_key", "seal_key", "seal_key_for_passkey", "wallet_file", "device_id", "guardian_code", "template"]);
/** Acts that read a file, change it and keep it again: one at a time, over all windows of this page. */
const ALONE = new Set([
  "personas", "new_persona", "renew_personas", "prove", "retire_persona", "reveal", "bring_wallet",
  "set_guardians", "handed_out", "accept_share", "refuse_plea", "start_recovery", "finish_recovery",
]);

self.onmessage = async (event: MessageEvent<{ id: number; method: string; args: unknown[] }>) => {
  const { id, method, args } = event.data;
  try {
    let value: unknown;
    if (method in own) {
      const call = own[method as keyof typeof own] as (...args: unknown[]) => unknown;
      value = await call(...args, id);
    } else {
      const client = ready() as unknown as Record<string, (...args: unknown[]) => unknown>;
      const call = client[method];
      if (typeof call !== "function") throw JSON.stringify({ code: "input", text: `no such method: ${method}`, nodes: [] });
      const act = () => Promise.resolve(call.apply(client, args));
      value = await (ALONE.has(method) ? navigator.locks.request(`files/${digest}`, act) : act());
    }
    self.postMessage({ id, value: PLAIN.has(method) || typeof value !== "string" ? value : JSON.parse(value) });
  } catch (error) {
    let trouble: unknown;
    try {
      trouble = typeof error === "string" ? JSON.parse(error) : null;
    } catch {
      trouble = null;
    }
    self.postMessage({ id, trouble: trouble ?? { code: "page-fault", text: String(error), nodes: [] } });
  }
};
