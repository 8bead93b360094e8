// Whatever goes wrong has a calm screen of its own: capture, browsers, nodes that are down or lie, a session that ran out.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { PASSPHRASE, button, decoded, heading, shots } from "./desk.mjs";

export const area = "bad input";

export async function run(desk, { alice, page }) {
  const { test, world } = desk;
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

  await test("a node that lies is shown, and nothing is accepted", async () => {
    const lied = await world.open(alice);
    await desk.enrolledCopy(lied);
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
    await desk.verify(lied, world.photo(1, 7));
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
    await desk.enrolledCopy(down);
    await down.context().route(`${world.urls[1]}/**`, (route) => route.abort("connectionrefused"));
    await world.go(down, "verify");
    await desk.sample(down, world.photo(1, 8));
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
}
