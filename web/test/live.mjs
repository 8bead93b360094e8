// The live log: told by the node, checked here; and asked for when nobody tells.
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { button, heading } from "./desk.mjs";

export const area = "live log";

export async function run(desk, { alice, page }) {
  const { test, world } = desk;
  const decide = async () => (await world.cli("party", "ask", "--party", "demo-market")).code;
  const shown = (viewer) => viewer.locator("table").last().locator("tr").first().locator("td").first().innerText().then(Number);

  await test("the node tells of news, and the page shows it checked within a moment", async () => {
    const viewer = await world.open(alice);
    await world.go(viewer, "log");
    await viewer.getByText("The node tells us of news as it comes.").waitFor({ timeout: 30_000 });
    const before = await shown(viewer);
    const begun = performance.now();
    assert.equal(await decide(), 0);
    await viewer.waitForFunction((last) => Number([...document.querySelectorAll("table")].at(-1).querySelector("td").innerText) > last, before, { timeout: 20_000 });
    desk.figures.decision_to_log_page_ms = Math.round(performance.now() - begun);
    await viewer.getByText("The three logs are whole, witnessed, and alike.").waitFor();
    await viewer.getByText("The demo market").first().waitFor();
    await viewer.context().close();
  });

  await test("where no stream is to be had, the page asks every few seconds", async () => {
    const viewer = await world.open(alice);
    await viewer.context().route("**/v1/log/events", (route) => route.fulfill({ status: 503, contentType: "application/problem+json", body: "{}" }));
    await world.go(viewer, "log");
    await viewer.getByText("We ask again every few seconds.").waitFor({ timeout: 30_000 });
    await viewer.getByText("The three logs are whole").waitFor({ timeout: 30_000 });
    const before = await shown(viewer);
    await decide();
    await viewer.waitForFunction((last) => Number([...document.querySelectorAll("table")].at(-1).querySelector("td").innerText) > last, before, { timeout: 20_000 });
    await viewer.context().close();
  });

  await test("the accuracy page draws the curve of the profile's own data, and says it as a table too", async () => {
    await world.go(page, "accuracy");
    await heading(page, "Accuracy and speed");
    const figure = page.locator("figure.det").first();
    await figure.waitFor();
    assert.ok((await figure.locator("path.curve").getAttribute("d")).split("L").length > 40);
    const profile = readFileSync(new URL("../../profiles/face-512.toml", import.meta.url), "utf8");
    const stated = (name) => Number(profile.match(new RegExp(`^${name} = (.*)$`, "m"))[1]);
    await figure.getByText("The same as a table").click();
    const cells = await figure.locator("tr", { hasText: "here" }).locator("td").allInnerTexts();
    const rate = (text) => Number(text.replace(/[^\d.e-]/g, "")) / 100;
    // The point that the curve names is the one that the profile states.
    assert.ok(Math.abs(rate(cells[1]) / stated("fmr") - 1) < 0.06, `${cells}`);
    assert.ok(Math.abs(rate(cells[2]) / stated("fnmr") - 1) < 0.02, `${cells}`);
    await button(page, "Measure").click();
    await page.getByText("photograph to template").waitFor({ timeout: 60_000 });
    await desk.shot(page, "accuracy-det");
  });
}
