// What must hold after everything: nobody else was asked, and everything can be taken back.
import { strict as assert } from "node:assert";
import { button, heading } from "./desk.mjs";

export const area = "last";

export async function run(desk, { page }) {
  const { test, world } = desk;
  await test("no request went anywhere but to the three nodes, and nothing was said in error", async () => {
    const own = new Set([...world.urls, world.page]);
    const elsewhere = page.requests.map((request) => new URL(request.url())).filter((url) => /^https?:$/.test(url.protocol) && !own.has(url.origin));
    assert.deepEqual(elsewhere.map(String), []);
    const faults = page.faults.filter((fault) => !/ERR_INTERNET_DISCONNECTED|Failed to fetch|status of 404/.test(fault));
    assert.deepEqual(faults, []);
  });

  await test("a member takes everything back", async () => {
    await world.go(page, "withdraw");
    await desk.unlocked(page);
    await button(page, "Erase my records").click();
    await heading(page, "Withdrawn");
    assert.equal((await world.cli("status", "--member", "from-page")).code, 1);
  });
}
