// What every area of tests stands on: the test function, figures, and the few things that people do again and again.
import { strict as assert } from "node:assert";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { PASSPHRASE, World, heading } from "./world.mjs";

export const shots = process.env.COMMONS_SHOTS ?? "../target/web-shots";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The base64url of the API, as bytes. */
export const decoded = (text) => Buffer.from(text, "base64url");
export const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
export const button = (page, name) => page.getByRole("button", { name, exact: true });

export class Desk {
  /** `only`: part of an area's or a test's name; then only those run, and those on which the others stand. */
  constructor(only) {
    this.world = new World();
    this.only = only;
    this.figures = {};
    this.passed = 0;
    this.failed = 0;
    this.findings = 0;
    mkdirSync(shots, { recursive: true });
  }

  /** `needed`: others stand on it. */
  test = async (name, act, { needed = false } = {}) => {
    if (this.only && !needed && !name.includes(this.only) && !this.area?.includes(this.only)) return;
    const begun = performance.now();
    try {
      await act();
      this.passed += 1;
      console.log(`ok ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAILED ${name}\n    ${String(error.stack ?? error).split("\n").slice(0, 12).join("\n    ")}`);
      const pages = this.world.browsers.flatMap((browser) => browser.contexts()).flatMap((context) => context.pages());
      for (const [i, page] of pages.entries()) {
        await page.screenshot({ path: join(shots, `failed-${this.failed}-${name.replace(/\W+/g, "-").slice(0, 40)}-${i + 1}.png`) }).catch(() => undefined);
        if (page.faults?.length) console.log(`    console: ${page.faults.join(" | ").slice(0, 600)}`);
      }
      if (needed) throw new Error(`without "${name}" there is nothing more to test`);
    }
  };

  async shot(page, name) {
    await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
  }

  /** Enrols whoever stands before the camera, or by photograph. */
  async enrol(page, { photograph = null } = {}) {
    await this.world.go(page, "enrol");
    await button(page, "I agree, go on").click();
    await this.sample(page, photograph);
    await page.getByRole("heading", { name: "Your key" }).waitFor({ timeout: 60_000 });
    if (await page.locator('input[name="new-passphrase"]').count()) await this.choosePassphrase(page);
    await button(page, "Split it and enrol").click();
  }

  async choosePassphrase(page) {
    await page.locator('input[name="new-passphrase"]').fill(PASSPHRASE);
    await page.locator('input[name="repeat-passphrase"]').fill(PASSPHRASE);
  }

  async sample(page, photograph) {
    if (photograph) await page.locator('input[name="photograph"]').first().setInputFiles(photograph);
    else await button(page, "Use the camera").click();
  }

  /** Returns the time from the photograph to the sample, and from there to the proven decision. */
  async verify(page, photograph) {
    await this.world.go(page, "verify");
    const begun = performance.now();
    await this.sample(page, photograph);
    await page.getByText("Your sample is ready.").waitFor({ timeout: 60_000 });
    const ready = performance.now();
    await button(page, "Split it and compare").click();
    await page.getByRole("heading", { level: 1, name: /The same person|Not the same person/ }).waitFor({ timeout: 60_000 });
    return { capture: ready - begun, decision: performance.now() - ready };
  }

  async renew(page, photograph) {
    await this.world.go(page, "renew");
    await this.sample(page, photograph);
    await page.getByText("Your sample is ready.").waitFor({ timeout: 60_000 });
    await button(page, "Split it and renew").click();
    await page.getByRole("heading", { level: 1, name: /Not renewed|Your record is of the new sample now/ }).waitFor({ timeout: 60_000 });
  }

  /** Brings the enrolled member's key into another window. */
  async enrolledCopy(page) {
    await this.world.go(page, "keys");
    await page.locator('input[name="key-file"]').setInputFiles(join(this.world.folder, "home/keys/from-page.key"));
    await page.locator('input[name="import-passphrase"]').fill(PASSPHRASE);
    await button(page, "Open").click();
    await page.getByRole("heading", { name: "Change the passphrase" }).waitFor({ timeout: 30_000 });
  }

  async unlocked(page) {
    // Until the client has started, the page shows its name.
    await page.waitForFunction(() => !["", "Trust Commons"].includes(document.querySelector("main h1")?.innerText ?? ""));
    const field = page.locator('input[name="passphrase"]');
    if (await field.count()) {
      await field.fill(PASSPHRASE);
      await button(page, "Open").click();
      await field.waitFor({ state: "detached", timeout: 30_000 });
    }
  }

  /** Fills a text that somebody brings. */
  async bring(page, name, text) {
    await page.locator(`textarea[name="${name}"]`).fill(text);
  }

  /** What a button hands out as a file. */
  async saved(page, act, path) {
    const [download] = await Promise.all([page.waitForEvent("download"), act()]);
    await download.saveAs(path);
    return readFileSync(path, "utf8");
  }

  async accessible(page, where) {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const serious = violations.filter((one) => ["serious", "critical"].includes(one.impact));
    this.findings += serious.length;
    assert.deepEqual(serious.map((one) => `${where}: ${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`), []);
  }
}

export { PASSPHRASE, heading };
