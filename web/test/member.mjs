// Becoming a member, proving it, looking at what is stored; the tour.
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { button, decoded, heading, median, shots } from "./desk.mjs";

export const area = "member";

export async function run(desk, { alice, page }) {
  const { test, world, figures } = desk;
  await test("somebody enrols with the camera, and no template leaves unsplit", async () => {
    page.requests.length = 0;
    await desk.enrol(page);
    await heading(page, "You are enrolled");
    await page.getByText("entry 1 of all three, proven here").or(page.getByText(/entry \d+ of all three, proven here/)).first().waitFor();
    const posts = page.requests.filter((request) => request.url().endsWith("/v1/enrolments"));
    assert.equal(posts.length, 3);
    const bodies = posts.map((request) => JSON.parse(request.postData()));
    assert.equal(new Set(bodies.map((body) => body.request)).size, 1, "one signed request for all");
    assert.equal(new Set(bodies.map((body) => body.share)).size, 3, "another sealed share for each");
  }, { needed: true });

  await test("what is sent holds the template in no form", async () => {
    const photograph = world.photo(9, 1);
    const other = await world.open(alice);
    await world.go(other, "tour");
    // The worker tells the template for this test alone: the words that are split.
    await other.evaluate(() => globalThis.commons.client.models());
    const words = decoded(await other.evaluate((bytes) => globalThis.commons.client.template(new Uint8Array(bytes)), [...readFileSync(photograph)]));
    other.requests.length = 0;
    await desk.enrol(other, { photograph });
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
    await desk.enrol(twin, { photograph: world.photo(1, 5) });
    await heading(twin, /Not enrolled: somebody with a matching template/);
    await twin.screenshot({ path: join(shots, "enrol-refused.png"), fullPage: true });
    await twin.context().close();
  });

  await test("the member is verified, and somebody else with the same key is not", async () => {
    const times = [];
    for (const sample of [2, 3, 4, 8, 10]) {
      times.push(await desk.verify(page, world.photo(1, sample)));
      await heading(page, "The same person who enrolled with this key");
    }
    figures.capture_ms = Math.round(median(times.map((one) => one.capture)));
    figures.decision_ms = Math.round(median(times.map((one) => one.decision)));
    figures.capture_to_decision_ms = Math.round(median(times.map((one) => one.capture + one.decision)));
    await desk.verify(page, world.photo(2, 1));
    await heading(page, "Not the same person, as far as this sample shows");
  });

  await test("a new sample takes the place of the old one, if it is the member's", async () => {
    await desk.renew(page, world.photo(2, 1));
    await heading(page, "Not renewed");
    await desk.renew(page, world.photo(1, 6));
    await heading(page, "Your record is of the new sample now");
    await desk.verify(page, world.photo(1, 2));
    await heading(page, "The same person who enrolled with this key");
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
      await desk.accessible(visitor, `tour ${stop}`);
    }
    await visitor.getByText("If two of the three operators collude").waitFor();
    assert.deepEqual(visitor.requests.filter((request) => request.method() === "POST"), [], "nothing is sent");
    await visitor.context().close();
  });
}
