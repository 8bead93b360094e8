// Requests, grants, the ledger with its receipts, the shield, the key.
import { strict as assert } from "node:assert";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { PASSPHRASE, button, heading, shots } from "./desk.mjs";

export const area = "consent";

export async function run(desk, { alice, page }) {
  const { test, world } = desk;
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
    await desk.sample(page, world.photo(1, 6));
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
  }, { needed: true });
}
