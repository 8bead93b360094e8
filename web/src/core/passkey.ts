// A passkey that opens the key: the authenticator makes 32 bytes of a salt (WebAuthn level 3, extension "prf"), and the key is sealed under
// them as under a passphrase. Nothing of it is ever sent: nobody checks a signature, only the bytes count. The passphrase stays.
import { client, Failed } from "./client";
import type { Passkey } from "./store";

const random = () => crypto.getRandomValues(new Uint8Array(32));
const trouble = (code: string, text: string) => new Failed({ code, text, nodes: [] });

/** Passkeys belong to a name; pages at a bare address have none. */
const named = () => !/^[\d.]+$|:/.test(location.hostname);

export type Can = "yes" | "no-name" | "no";

/** Whether this browser, on this page, can open a key so. */
export async function can(): Promise<Can> {
  if (typeof PublicKeyCredential !== "function" || !navigator.credentials) return "no";
  if (!named()) return "no-name";
  const capabilities = (PublicKeyCredential as unknown as { getClientCapabilities?: () => Promise<Record<string, boolean>> }).getClientCapabilities;
  const told = await capabilities?.call(PublicKeyCredential).catch(() => undefined);
  return told && told["extension:prf"] === false ? "no" : "yes";
}

function cancelled(error: unknown): never {
  throw trouble("passkey-cancelled", error instanceof Error ? error.message : String(error));
}

async function secretOf(id: Uint8Array, salt: Uint8Array): Promise<Uint8Array> {
  const got = (await navigator.credentials
    .get({
      publicKey: {
        challenge: random(),
        rpId: location.hostname,
        allowCredentials: [{ type: "public-key", id: id as BufferSource }],
        userVerification: "required",
        extensions: { prf: { eval: { first: salt as BufferSource } } },
      },
    })
    .catch(cancelled)) as PublicKeyCredential | null;
  const first = got?.getClientExtensionResults().prf?.results?.first;
  if (!first) throw trouble("passkey-cannot", "this passkey makes no secret");
  return bytes(first);
}

const bytes = (of: BufferSource) => (of instanceof ArrayBuffer ? new Uint8Array(of) : new Uint8Array(of.buffer, of.byteOffset, of.byteLength)).slice();

/** Makes a passkey for the open key. */
export async function make(commons: string): Promise<Passkey> {
  const salt = random();
  const made = (await navigator.credentials
    .create({
      publicKey: {
        rp: { name: "Trust Commons", id: location.hostname },
        user: { id: random().slice(0, 16), name: commons, displayName: commons },
        challenge: random(),
        pubKeyCredParams: [-8, -7, -257].map((alg) => ({ type: "public-key", alg })),
        authenticatorSelection: { residentKey: "preferred", userVerification: "required" },
        attestation: "none",
        extensions: { prf: { eval: { first: salt } } },
      },
    })
    .catch(cancelled)) as PublicKeyCredential | null;
  const prf = made?.getClientExtensionResults().prf;
  if (!made || !prf?.enabled) throw trouble("passkey-cannot", "this passkey makes no secret");
  const id = new Uint8Array(made.rawId);
  // Some make the bytes at once, others when they are asked the first time.
  const secret = prf.results?.first ? bytes(prf.results.first) : await secretOf(id, salt);
  const file = await client.sealKeyForPasskey(secret);
  secret.fill(0);
  return { id, salt, file };
}

/** Opens the key; gives the device. */
export async function open(passkey: Passkey): Promise<string> {
  const secret = await secretOf(passkey.id, passkey.salt);
  const device = await client.openKeyWithPasskey(passkey.file, secret);
  secret.fill(0);
  return device;
}
