// The page in a real browser, against three real nodes. Each test says in its name what must hold; the last line counts them.
//
// Environment: COMMONS (the program), COMMONS_ASSETS, COMMONS_TEMPLATES (native templates), COMMONS_SHOTS (where pictures go), CHROMIUM.
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { PASSPHRASE, World, heading } from "./world.mjs";

const world = new World();
const shots = process.env.COMMONS_SHOTS ?? "../target/web-shots";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const figures = {};
let [passed, failed] = [0, 0];
/** A part of a name: only those tests run, and those on which the others stand. */
const only = process.argv[2];
const NEEDED = ["enrols with the camera", "goes to the command line"];

async function test(name, act) {
  if (only && !name.includes(only) && !NEEDED.some((one) => name.includes(one))) return;
  const begun = performance.now();
  try {
    await act();
    passed += 1;
    console.log(`ok ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}\n    ${String(error.stack ?? error).split("\n").slice(0, 12).join("\n    ")}`);
    for (const page of world.browsers.flatMap((browser) => browser.contexts()).flatMap((context) => context.pages())) {
      await page.screenshot({ path: join(shots, `failed-${failed}-${name.replace(/\W+/g, "-").slice(0, 40)}.png`) }).catch(() => undefined);
      if (page.faults?.length) console.log(`    console: ${page.faults.join(" | ").slice(0, 600)}`);
    }
  }
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const button = (page, name) => page.getByRole("button", { name, exact: true });

/** Enrols whoever stands before the camera, or by photograph. */
async function enrol(page, { photograph = null } = {}) {
  await world.go(page, "enrol");
  await button(page, "I agree, go on").click();
  await sample(page, photograph);
  const field = page.locator('input[name="new-passphrase"]');
  await page.getByRole("heading", { name: "Your key" }).waitFor({ timeout: 60_000 });
  if (await field.count()) {
    await field.fill(PASSPHRASE);
    await page.locator('input[name="repeat-passphrase"]').fill(PASSPHRASE);
  }
  await button(page, "Split it and enrol").click();
}

async function sample(page, photograph) {
  if (photograph) await page.locator('input[name="photograph"]').first().setInputFiles(photograph);
  else await button(page, "Use the camera").click();
}

/** Returns the time from the photograph to the sample, and from there to the proven decision. */
async function verify(page, photograph) {
  await world.go(page, "verify");
  const begun = performance.now();
  await sample(page, photograph);
  await page.getByText("Your sample is ready.").waitFor({ timeout: 60_000 });
  const ready = performance.now();
  await button(page, "Split it and compare").click();
  await page.getByRole("heading", { level: 1, name: /The same person|Not the same person/ }).waitFor({ timeout: 60_000 });
  return { capture: ready - begun, decision: performance.now() - ready };
}

/** What a request to a node carries, as bytes. */
const decoded = (text) => Buffer.from(text, "base64url");

async function run() {
  mkdirSync(shots, { recursive: true });
  await world.start(process.env.COMMONS_PAGE ?? "dist");
  const alice = await world.browser({ pictures: [world.photo(1, 1)] });
  const page = await world.open(alice);

  await test("the first visit is small, strict, and asks nobody else", async () => {
    const fresh = await world.open(alice);
    await fresh.waitForFunction(() => document.body.innerText.includes("for node 1"));
    const session = await fresh.context().newCDPSession(fresh);
    await session.send("Performance.enable");
    const paint = await fresh.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
    const ready = await fresh.evaluate(() => new Promise((done) => {
      const look = () => (document.querySelector("main h1") && !document.querySelector(".progress") ? done(performance.now()) : setTimeout(look, 5));
      look();
    }));
    const loaded = await fresh.evaluate(() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation")).map((entry) => ({ name: entry.name, bytes: entry.encodedBodySize })));
    const before = loaded.filter(({ name }) => !name.endsWith(".wasm")).reduce((sum, { bytes }) => sum + bytes, 0);
    Object.assign(figures, { first_load_bytes: before, first_paint_ms: Math.round(paint), ready_ms: Math.round(ready) });
    assert.ok(before > 10_000 && before < 300_000, `first load: ${before} bytes`);
    const response = await fresh.context().request.get(`${world.page}/`);
    const policy = response.headers()["content-security-policy"];
    assert.match(policy, /default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';/);
    assert.ok(!policy.includes("unsafe-inline") && !policy.includes("'unsafe-eval'"), policy);
    assert.match(response.headers()["permissions-policy"], /camera=\(self\)/);
    await fresh.context().close();
  });

  await test("the wasm build makes the native one's templates up to rounding, and every decision is the same", async () => {
    const photographs = [];
    for (let subject = 1; subject <= 6; subject++) photographs.push(world.photo(subject, 1), world.photo(subject, 2));
    const portraits = join(world.assets, "faces/portraits/female");
    photographs.push(...readdirSync(portraits).filter((name) => name.endsWith(".jpg")).slice(0, 6).map((name) => join(portraits, name)));
    const models = join(world.assets, "models");
    const lines = (program, args) => execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], maxBuffer: 1 << 26 }).trim().split("\n");
    const native = lines(process.env.COMMONS_TEMPLATES, [models, ...photographs]);
    const wasm = lines("node", ["test/templates.mjs", world.roster, models, ...photographs]);
    const refused = (list) => list.map((line) => line === "refused");
    assert.deepEqual(refused(wasm), refused(native), "the same photographs are good enough");
    const values = (line) => Array.from({ length: 512 }, (_, i) => decoded(line).readInt32LE(4 * i));
    const pairs = native.flatMap((line, i) => (line === "refused" ? [] : [[values(line), values(wasm[i])]]));
    assert.ok(pairs.length >= 12);
    // Two instruction sets round sums of floats differently: where a coordinate lies near a half, it may become the neighbour.
    const differing = pairs.map(([one, other]) => one.filter((value, i) => value !== other[i]).length);
    assert.ok(pairs.every(([one, other]) => one.every((value, i) => Math.abs(value - other[i]) <= 1)));
    assert.ok(Math.max(...differing) <= 16, `${differing}`);
    const dot = (one, other) => one.reduce((sum, value, i) => sum + value * other[i], 0);
    const matches = (one, other) => dot(one, other) > 0.48 * 147 ** 2;
    for (const [native] of pairs) for (const [one, other] of pairs) assert.equal(matches(one, native), matches(other, native));
    Object.assign(figures, { templates_compared: pairs.length, templates_equal: differing.filter((count) => count === 0).length, coordinates_differing_most: Math.max(...differing) });
  });

  let member = false;
  await test("somebody enrols with the camera, and no template leaves unsplit", async () => {
    page.requests.length = 0;
    await enrol(page);
    await heading(page, "You are enrolled");
    await page.getByText("entry 1 of all three, proven here").or(page.getByText(/entry \d+ of all three, proven here/)).first().waitFor();
    const posts = page.requests.filter((request) => request.url().endsWith("/v1/enrolments"));
    assert.equal(posts.length, 3);
    const bodies = posts.map((request) => JSON.parse(request.postData()));
    assert.equal(new Set(bodies.map((body) => body.request)).size, 1, "one signed request for all");
    assert.equal(new Set(bodies.map((body) => body.share)).size, 3, "another sealed share for each");
    member = true;
  });

  if (!member) throw new Error("without a member there is nothing to test");

  await test("what is sent holds the template in no form", async () => {
    const photograph = world.photo(9, 1);
    const other = await world.open(alice);
    await world.go(other, "tour");
    // The worker tells the template for this test alone: the words that are split.
    await other.evaluate(() => globalThis.commons.client.models("face-512"));
    const words = decoded(await other.evaluate((bytes) => globalThis.commons.client.template(new Uint8Array(bytes)), [...readFileSync(photograph)]));
    other.requests.length = 0;
    await enrol(other, { photograph });
    await heading(other, "You are enrolled");
    const sent = other.requests.filter((request) => request.method() === "POST");
    assert.ok(sent.length >= 3);
    const values = Array.from({ length: words.length / 4 }, (_, i) => words.readInt32LE(4 * i));
    const run = values.slice(100, 108);
    const forms = [
      words.subarray(400, 432),
      Buffer.from(Int16Array.from(run).buffer),
      Buffer.from(Int8Array.from(run)),
      Buffer.from(Float32Array.from(run).buffer),
      Buffer.from(run.join(",")),
      Buffer.from(readFileSync(photograph).subarray(200, 232)),
    ];
    for (const request of sent) {
      const text = request.postDataBuffer();
      const parts = [text, ...Object.values(JSON.parse(text)).filter((value) => typeof value === "string").map(decoded)];
      for (const part of parts) for (const form of forms) assert.ok(!part.includes(form), request.url());
    }
    await other.context().close();
  });

  await test("the same person is refused a second time", async () => {
    const twin = await world.open(alice);
    await enrol(twin, { photograph: world.photo(1, 5) });
    await heading(twin, /Not enrolled: somebody with a matching template/);
    await twin.screenshot({ path: join(shots, "enrol-refused.png"), fullPage: true });
    await twin.context().close();
  });

  await test("the member is verified, and somebody else with the same key is not", async () => {
    const times = [];
    for (const sample of [2, 3, 4, 8, 10]) {
      times.push(await verify(page, world.photo(1, sample)));
      await heading(page, "The same person who enrolled with this key");
    }
    figures.capture_ms = Math.round(median(times.map((one) => one.capture)));
    figures.decision_ms = Math.round(median(times.map((one) => one.decision)));
    figures.capture_to_decision_ms = Math.round(median(times.map((one) => one.capture + one.decision)));
    await verify(page, world.photo(2, 1));
    await heading(page, "Not the same person, as far as this sample shows");
  });

  let grant;
  await test("a request is seen by its number, approved, and the market hears yes", async () => {
    const asked = await world.cli("party", "ask", "--party", "demo-market", "--uses", "5");
    await world.go(page, `requests/${asked.ask}`);
    await page.getByRole("heading", { name: "The demo market asks you" }).waitFor();
    for (const text of ["One ration each", "learn your template, a score", "up to 5 times"]) assert.ok(await page.getByText(text).first().isVisible(), text);
    await page.screenshot({ path: join(shots, "request.png"), fullPage: true });
    await button(page, "Yes, I agree").click();
    await heading(page, "Answered The demo market: one enrolled person");
    const heard = await world.cli("party", "answer", asked.ask, "--party", "demo-market");
    assert.equal(heard.code, 0);
    grant = heard.grant;
    assert.ok(grant);
  });

  await test("a request that was refused tells no more than no", async () => {
    const asked = await world.cli("party", "ask", "--party", "demo-market");
    await world.go(page, "requests");
    await page.locator('input[name="ask"]').fill(`web+commons:ask?id=${asked.ask}`);
    await button(page, "Show it").click();
    await page.getByRole("heading", { name: "The demo market asks you" }).waitFor();
    await button(page, "No").click();
    await heading(page, "Refused");
    const heard = await world.cli("party", "answer", asked.ask, "--party", "demo-market");
    assert.equal(heard.code, 1);
    assert.equal(heard.subject ?? null, null);
  });

  await test("a clinic compares with a fresh sample", async () => {
    const asked = await world.cli("party", "ask", "--party", "demo-clinic", "--profile", "face-512");
    await world.go(page, `requests/${asked.ask}`);
    await page.getByText("They ask to compare you with your record").waitFor();
    await sample(page, world.photo(1, 6));
    await page.getByText("Your sample is ready.").waitFor({ timeout: 60_000 });
    await button(page, "Yes, I agree").click();
    await heading(page, "Answered The demo clinic: the same person");
  });

  await test("the ledger shows who learned what, and receipts hold with their log proofs", async () => {
    await world.cli("party", "use", grant, "--party", "demo-market");
    await world.go(page, "ledger");
    await page.getByText("Use of a grant").waitFor({ timeout: 30_000 });
    const receipt = page.locator("details[data-operation]").first();
    await receipt.locator("summary").click();
    await button(page, "Check everything against the logs").click();
    await page.getByText("All is accounted for").waitFor({ timeout: 60_000 });
    await world.go(page, "home");
    await world.go(page, "ledger");
    await page.locator("details[data-operation]").first().locator("summary").click();
    await page.getByText("It holds: three signatures, and the same entry in three logs").first().waitFor();
    await page.getByText("log of node 3").first().waitFor();
    await page.screenshot({ path: join(shots, "ledger.png"), fullPage: true });
  });

  await test("an altered receipt does not hold", async () => {
    const told = await page.evaluate(async () => {
      const database = await new Promise((done) => {
        const request = indexedDB.open("trust-commons");
        request.onsuccess = () => done(request.result);
      });
      const all = await new Promise((done) => {
        const request = database.transaction("receipts").objectStore("receipts").getAll();
        request.onsuccess = () => done(request.result);
      });
      const kept = all.find((one) => one.log);
      const codes = [];
      for (const alter of [(one) => (one.summary.party = "somebody-else"), (one) => (one.log.proofs[1] = one.log.proofs[2]), (one) => (one.receipt.log_index += 1)]) {
        const copy = structuredClone(kept);
        alter(copy);
        codes.push(await globalThis.commons.client.check(copy).then(() => "held", (error) => error.trouble.code));
      }
      return codes;
    });
    assert.equal(told.length, 3);
    assert.ok(told.every((code) => code !== "held"), told.join());
  });

  await test("a grant is narrowed and ended", async () => {
    await world.go(page, "ledger");
    const item = page.locator(`li[data-grant="${grant}"]`);
    await item.getByRole("button", { name: "Allow less" }).click();
    await item.locator('input[type="number"]').fill("1");
    await item.getByRole("button", { name: "Allow only this" }).click();
    await item.getByText("It now allows less.").waitFor({ timeout: 30_000 });
    assert.equal((await world.cli("party", "use", grant, "--party", "demo-market")).code, 0);
    assert.notEqual((await world.cli("party", "use", grant, "--party", "demo-market")).code, 0);
  });

  await test("one press of the shield stops every use, and what is picked goes on", async () => {
    const asked = await world.cli("party", "ask", "--party", "demo-market", "--uses", "5");
    await world.go(page, `requests/${asked.ask}`);
    await button(page, "Yes, I agree").click();
    await heading(page, /Answered/);
    const { grant: lasting } = await world.cli("party", "answer", asked.ask, "--party", "demo-market");
    await button(page, "Shield").click();
    await heading(page, "Your shield is up on all three nodes");
    await page.screenshot({ path: join(shots, "shield.png"), fullPage: true });
    assert.notEqual((await world.cli("party", "use", lasting, "--party", "demo-market")).code, 0);
    await page.locator('input[type="checkbox"]').first().check();
    await button(page, "Take it down").click();
    await heading(page, "Your shield is down");
    assert.equal((await world.cli("party", "use", lasting, "--party", "demo-market")).code, 0);
  });

  await test("the key goes to the command line and back", async () => {
    await world.go(page, "keys");
    const download = page.waitForEvent("download");
    await button(page, "Save a copy").click();
    const path = join(world.folder, "home/keys/from-page.key");
    mkdirSync(join(world.folder, "home/keys"), { recursive: true });
    await (await download).saveAs(path);
    const status = await world.cli("status", "--member", "from-page");
    assert.equal(status.code, 0);
    assert.ok(status.member);
    const elsewhere = await world.open(alice);
    await world.go(elsewhere, "keys");
    await elsewhere.locator('input[name="key-file"]').setInputFiles(path);
    await elsewhere.locator('input[name="import-passphrase"]').fill(PASSPHRASE);
    await button(elsewhere, "Open").click();
    await world.go(elsewhere, "home");
    await heading(elsewhere, "You are a member");
    // A second device finds every decision again.
    await world.go(elsewhere, "ledger");
    await elsewhere.getByText("Enrolment", { exact: true }).waitFor({ timeout: 30_000 });
    await elsewhere.context().close();
  });

  await test("each node's share looks like noise, and no two show the same", async () => {
    await world.go(page, "inspect");
    await page.locator("canvas").nth(2).waitFor({ timeout: 30_000 });
    const pictures = await page.locator("canvas").evaluateAll((all) => all.map((canvas) => canvas.toDataURL()));
    assert.equal(new Set(pictures).size, 3);
    await page.screenshot({ path: join(shots, "inspect.png"), fullPage: true });
  });

  await test("the tour runs to its card", async () => {
    const visitor = await world.open(alice);
    await world.go(visitor, "tour");
    await visitor.locator(".faces button").nth(3).click();
    await visitor.getByText("The template: 512 numbers").first().waitFor({ timeout: 60_000 });
    for (const stop of [2, 3, 4, 5, 6]) {
      await button(visitor, "Next").click();
      await visitor.getByText(`Stop ${stop} of 6`).waitFor();
      if (stop === 2) await visitor.waitForTimeout(2500);
      if (stop === 4) await button(visitor, "Yes, I agree").click();
      if (stop === 5) await button(visitor, "Raise the shield").click();
      await visitor.screenshot({ path: join(shots, `tour-${stop}.png`), fullPage: true });
      await accessible(visitor, `tour ${stop}`);
    }
    await visitor.getByText("If two of the three operators collude").waitFor();
    assert.deepEqual(visitor.requests.filter((request) => request.method() === "POST"), [], "nothing is sent");
    await visitor.context().close();
  });

  await errors(alice);

  await test("a node that lies is shown, and nothing is accepted", async () => {
    const lied = await world.open(alice);
    await enrolledCopy(lied);
    await lied.context().route(`${world.urls[1]}/v1/status`, async (route) => {
      const response = await route.fetch();
      const body = await response.json();
      const bytes = decoded(body.statement);
      bytes[bytes.length - 9] ^= 1;
      await route.fulfill({ response, json: { statement: bytes.toString("base64url") } });
    });
    await world.go(lied, "home");
    await lied.getByText("Node 2 sent something that an honest node cannot send").waitFor({ timeout: 30_000 });
    await lied.screenshot({ path: join(shots, "node-lies.png"), fullPage: true });
    await lied.context().unroute(`${world.urls[1]}/v1/status`);
    await lied.context().route(`${world.urls[2]}/v1/verifications`, async (route) => {
      const response = await route.fetch();
      const body = await response.json();
      const bytes = decoded(body.certificate);
      bytes[bytes.length - 9] ^= 1;
      await route.fulfill({ response, json: { ...body, certificate: bytes.toString("base64url") } });
    });
    await verify(lied, world.photo(1, 7));
    await lied.getByText(/Node 3 sent an answer with a wrong signature/).waitFor();
    // A log that was changed under way is found, too.
    await lied.context().route(`${world.urls[0]}/log/tile/entries/**`, async (route) => {
      const response = await route.fetch();
      const bytes = Buffer.from(await response.body());
      bytes[40] ^= 1;
      await route.fulfill({ response, body: bytes });
    });
    await world.go(lied, "log");
    await lied.getByText("Something is not as it must be").waitFor({ timeout: 30_000 });
    await lied.screenshot({ path: join(shots, "log-lies.png"), fullPage: true });
    await lied.context().close();
  });

  await test("a node that is down is named, and nothing is lost", async () => {
    const down = await world.open(alice);
    await enrolledCopy(down);
    await down.context().route(`${world.urls[1]}/**`, (route) => route.abort("connectionrefused"));
    await world.go(down, "verify");
    await sample(down, world.photo(1, 8));
    await down.getByText("Your sample is ready.").waitFor({ timeout: 60_000 });
    await button(down, "Split it and compare").click();
    await down.getByText("Node 2 does not answer").waitFor({ timeout: 30_000 });
    await world.go(down, "nodes");
    await down.getByText("does not answer").first().waitFor({ timeout: 30_000 });
    await down.screenshot({ path: join(shots, "node-down.png"), fullPage: true });
    await down.context().close();
  });

  await test("a key that was left open is locked", async () => {
    await world.go(page, "home");
    await page.evaluate(() => globalThis.commons.lockIn(300));
    await heading(page, "Open your key", 10_000);
    await page.getByText(/Your key was locked after/).waitFor();
    await page.screenshot({ path: join(shots, "locked.png"), fullPage: true });
    await page.locator('input[name="passphrase"]').fill("not this one");
    await button(page, "Open").click();
    await page.getByText("This passphrase does not open the key").waitFor({ timeout: 30_000 });
    await page.evaluate(() => globalThis.commons.lockIn(900_000));
    await page.locator('input[name="passphrase"]').fill(PASSPHRASE);
    await button(page, "Open").click();
    await heading(page, "You are a member");
  });

  await test("without any node the page opens, and receipts are checked", async () => {
    await world.go(page, "ledger");
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null, null, { timeout: 20_000 });
    await page.reload();
    await page.waitForFunction(() => document.body.innerText.length > 200);
    await page.context().setOffline(true);
    await page.reload();
    await heading(page, /Open your key|Everything of you/);
    const checked = await page.evaluate(async () => {
      const database = await new Promise((done) => {
        const request = indexedDB.open("trust-commons");
        request.onsuccess = () => done(request.result);
      });
      const all = await new Promise((done) => {
        const request = database.transaction("receipts").objectStore("receipts").getAll();
        request.onsuccess = () => done(request.result);
      });
      return (await globalThis.commons.client.check(all.find((one) => one.log))).logs.logs.length;
    });
    assert.equal(checked, 3);
    await page.context().setOffline(false);
    await page.reload();
    await page.waitForFunction(() => document.querySelector("h1"));
  });

  await test("axe finds nothing serious on any page, in either theme", async () => {
    await everyPage(page);
  });

  await test("no request went anywhere but to the three nodes, and nothing was said in error", async () => {
    const own = new Set([...world.urls, world.page]);
    const elsewhere = page.requests.map((request) => new URL(request.url())).filter((url) => /^https?:$/.test(url.protocol) && !own.has(url.origin));
    assert.deepEqual(elsewhere.map(String), []);
    const faults = page.faults.filter((fault) => !/ERR_INTERNET_DISCONNECTED|Failed to fetch|status of 404/.test(fault));
    assert.deepEqual(faults, []);
  });

  await test("a member takes everything back", async () => {
    await world.go(page, "withdraw");
    await unlocked(page);
    await button(page, "Erase my records").click();
    await heading(page, "Withdrawn");
    assert.equal((await world.cli("status", "--member", "from-page")).code, 1);
  });

  figures.axe_serious = findings;
  console.log(JSON.stringify(figures));
  writeFileSync(join(shots, "figures.json"), JSON.stringify(figures, null, 2));
}

/** Brings the enrolled member's key into another window. */
async function enrolledCopy(page) {
  await world.go(page, "keys");
  await page.locator('input[name="key-file"]').setInputFiles(join(world.folder, "home/keys/from-page.key"));
  await page.locator('input[name="import-passphrase"]').fill(PASSPHRASE);
  await button(page, "Open").click();
  await page.getByRole("heading", { name: "Change the passphrase" }).waitFor({ timeout: 30_000 });
}

async function unlocked(page) {
  await page.waitForTimeout(300);
  const field = page.locator('input[name="passphrase"]');
  if (await field.count()) {
    await field.fill(PASSPHRASE);
    await button(page, "Open").click();
    await field.waitFor({ state: "detached", timeout: 30_000 });
  }
}

async function errors(alice) {
  const see = async (browser, shot, title, act = null, options = {}) => {
    const page = await world.open(browser, options);
    if (options.before) await page.addInitScript(options.before);
    if (options.before) await page.reload();
    await world.go(page, "enrol");
    await button(page, "I agree, go on").click();
    await (act ? act(page) : button(page, "Use the camera").click());
    await page.getByText(title).first().waitFor({ timeout: 60_000 });
    await page.screenshot({ path: join(shots, `error-${shot}.png`), fullPage: true });
    await page.context().close();
  };
  await test("no camera: a photograph instead", async () => see(alice, "no-camera", "There is no camera here", null, {
      // What Chromium answers on a machine without one; a headless one always waits for a choice.
      before: () => (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("Requested device not found", "NotFoundError"))),
    }));
  await test("the camera is not allowed: where to allow it", async () => see(alice, "denied", "The camera is not allowed", null, {
      before: () => (navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("Permission denied", "NotAllowedError"))),
    }));
  await test("two faces", async () => see(await world.browser({ pictures: [world.photo(1, 1), world.photo(2, 1)] }), "two-faces", "More than one face"));
  await test("darkness", async () => see(await world.browser({ pictures: [world.photo(1, 1)], light: 0.07 }), "dark", "It is too dark"));
  await test("a file that is no picture", async () =>
    see(alice, "no-picture", "This is no picture that can be read", (page) => page.locator('input[name="photograph"]').setInputFiles({ name: "x.jpg", mimeType: "image/jpeg", buffer: Buffer.from("\xff\xd8 nothing", "latin1") })));
  await test("an old browser is told so", async () => {
    const page = await alice.newPage({ javaScriptEnabled: false });
    await page.goto(world.page);
    await page.getByText("a browser of 2023 or newer").waitFor();
    await page.screenshot({ path: join(shots, "error-no-script.png") });
    await page.context().close();
    const without = await alice.newContext();
    await without.addInitScript(() => delete globalThis.WebAssembly);
    const old = await without.newPage();
    await old.goto(`${world.page}/#/home`);
    await old.getByText("This browser cannot run the client").waitFor();
    await old.screenshot({ path: join(shots, "error-old.png") });
    await without.close();
  });
}

let findings = 0;

async function accessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  findings += serious.length;
  assert.deepEqual(serious.map((one) => `${where}: ${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`), []);
}

const PAGES = ["home", "requests", "ledger", "inspect", "keys", "shield", "withdraw", "verify", "enrol", "rules", "nodes", "log", "accuracy", "tour"];

async function everyPage(page) {
  for (const [theme, width, height] of [["light", 1180, 820], ["dark", 1180, 820], ["light", 390, 844], ["dark", 390, 844]]) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: theme });
    for (const name of PAGES) {
      await page.evaluate((to) => (location.hash = `/${to}`), name);
      await unlocked(page);
      await page.waitForFunction(() => !document.querySelector("main > .page > .progress"), null, { timeout: 30_000 });
      if (["log", "nodes", "ledger", "inspect"].includes(name)) await page.waitForTimeout(700);
      await page.screenshot({ path: join(shots, `${name}-${theme}-${width}.png`), fullPage: true });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${name} at ${width}: ${overflow} pixels too wide`);
      if (width === 1180 || theme === "light") await accessible(page, `${name} ${theme} ${width}`);
    }
  }
  await page.setViewportSize({ width: 1180, height: 820 });
}

if (!existsSync(process.env.COMMONS ?? "")) throw new Error("COMMONS must name the program; run ./x web-test");
try {
  await run();
} catch (error) {
  failed += 1;
  console.log(`FAILED (${error.stack ?? error})`);
} finally {
  await world.stop();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
