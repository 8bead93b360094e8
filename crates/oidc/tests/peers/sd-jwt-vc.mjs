// What the npm package @sd-jwt/sd-jwt-vc makes of our membership credentials: as a verifier of the credential, of its status list and of
// our wallet's presentation, and as a holder whose presentation our verifier judges. Exhibits as JSON on standard input, findings as JSON
// on standard output.
//
// Usage: node sd-jwt-vc.mjs MODULES
import { createPublicKey, createPrivateKey, createHash, sign, verify, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.argv[2]}/x.js`));
const { SDJwtVcInstance } = require("@sd-jwt/sd-jwt-vc");
const exhibits = JSON.parse(readFileSync(0, "utf8"));

const publicKey = (jwk) => createPublicKey({ key: jwk, format: "jwk" });
const checks = (jwk) => (data, signature) =>
  verify("sha256", Buffer.from(data), { key: publicKey(jwk), dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"));
const holderKey = createPrivateKey({ key: Buffer.from(exhibits.holder, "base64url"), format: "der", type: "pkcs8" });
const instance = new SDJwtVcInstance({
  hasher: (data) => createHash("sha256").update(typeof data === "string" ? data : Buffer.from(data)).digest(),
  hashAlg: "sha-256",
  saltGenerator: (length) => randomBytes(length).toString("base64url"),
  verifier: checks(exhibits.issuer),
  kbVerifier: (data, signature, payload) => checks(payload.cnf.jwk)(data, signature),
  kbSigner: (data) => sign("sha256", Buffer.from(data), { key: holderKey, dsaEncoding: "ieee-p1363" }).toString("base64url"),
  kbSignAlg: "ES256",
  statusListFetcher: async (uri) => exhibits.status[uri],
  statusVerifier: checks(exhibits.issuer),
});

const attempt = async (what) => {
  try {
    return { accepted: true, claims: (await what()).payload };
  } catch (error) {
    return { accepted: false, why: error.message };
  }
};
const nonce = exhibits.nonce;
const presented = await instance.present(exhibits.credential, { age_band: true }, {
  kb: { payload: { iat: Math.floor(Date.now() / 1000), aud: exhibits.audience, nonce } },
});
console.log(JSON.stringify({
  credential: await attempt(() => instance.verify(exhibits.credential)),
  presentation: await attempt(() => instance.verify(exhibits.presentation, { keyBindingNonce: nonce })),
  altered: await attempt(() => instance.verify(exhibits.altered)),
  another_nonce: await attempt(() => instance.verify(exhibits.presentation, { keyBindingNonce: "another" })),
  retired: await attempt(() => instance.verify(exhibits.retired)),
  presented,
}));
