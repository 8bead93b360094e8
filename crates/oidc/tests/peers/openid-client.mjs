// A web site that signs people in with the npm package openid-client, unmodified: discovery, code flow with PKCE, userinfo. It plays the
// browser too, as far as a browser follows redirects and keeps a cookie. Lines on standard output: `request URL` for the person's
// device, then `claims JSON` or `refused JSON`.
//
// Usage: node openid-client.mjs MODULES ISSUER CLIENT SECRET REDIRECT HOW
// HOW: good, or one fault: wrong-verifier, wrong-state, wrong-nonce, replay.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, issuer, clientId, secret, redirect, how] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${modules}/x.js`));
const oidc = await import(pathToFileURL(require.resolve("openid-client")).href);

const authentication = secret ? oidc.ClientSecretBasic(secret) : oidc.None();
// Plain http: only because this is loopback.
const options = { execute: [oidc.allowInsecureRequests] };
const config = await oidc.discovery(new URL(issuer), clientId, undefined, authentication, options);

const verifier = oidc.randomPKCECodeVerifier();
const state = oidc.randomState();
const nonce = oidc.randomNonce();
const to = oidc.buildAuthorizationUrl(config, {
  redirect_uri: redirect,
  scope: "openid",
  code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  state,
  nonce,
});

// The browser.
const first = await fetch(to, { redirect: "manual" });
const page = new URL(first.headers.get("location"), issuer);
const cookie = first.headers.get("set-cookie").split(";")[0];
const html = await (await fetch(page, { headers: { cookie } })).text();
console.log(`request ${html.match(/commons sign-in ([^<]+)</)[1]}`);
let back;
for (let tries = 0; !back && tries < 400; tries++) {
  const answer = await fetch(page, { headers: { cookie }, redirect: "manual" });
  if (answer.status === 303) back = new URL(answer.headers.get("location"));
  else await new Promise((resolve) => setTimeout(resolve, 25));
}

const checks = {
  pkceCodeVerifier: how === "wrong-verifier" ? oidc.randomPKCECodeVerifier() : verifier,
  expectedState: how === "wrong-state" ? oidc.randomState() : state,
  expectedNonce: how === "wrong-nonce" ? oidc.randomNonce() : nonce,
};
try {
  const tokens = await oidc.authorizationCodeGrant(config, back, checks);
  if (how === "replay") await oidc.authorizationCodeGrant(config, back, checks);
  const claims = tokens.claims();
  const user = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
  console.log(`claims ${JSON.stringify({ claims, user })}`);
} catch (error) {
  console.log(`refused ${JSON.stringify({ code: error.code, error: error.error ?? null, status: error.status ?? null })}`);
}
