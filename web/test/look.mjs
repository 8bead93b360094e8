// Every page in both themes, at a desk and on a telephone: pictures to look at, no scrolling sideways, and what axe finds.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { shots } from "./desk.mjs";

export const area = "look";

const PAGES = [
  "home", "requests", "ledger", "personas", "personas/new", "personas/prove", "personas/check", "guardians", "recover", "inspect", "keys", "shield",
  "withdraw", "verify", "renew", "enrol", "rules", "nodes", "log", "accuracy", "tour",
];

export async function run(desk, { page }) {
  const { test } = desk;

  await test("axe finds nothing serious on any page, in either theme", async () => {
    for (const [theme, width, height] of [["light", 1180, 820], ["dark", 1180, 820], ["light", 390, 844], ["dark", 390, 844]]) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: theme });
      for (const name of PAGES) {
        await page.evaluate((to) => (location.hash = `/${to}`), name);
        await desk.unlocked(page);
        await page.waitForFunction(() => !document.querySelector("main > .page > .progress"), null, { timeout: 30_000 });
        if (["log", "nodes", "ledger", "inspect", "guardians", "personas"].includes(name)) await page.waitForTimeout(500);
        await page.screenshot({ path: join(shots, `${name.replace("/", "-")}-${theme}-${width}.png`), fullPage: true });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${name} at ${width}: ${overflow} pixels too wide`);
        // Colours differ by theme, layout by width: three of the four say everything.
        if (width === 1180 || theme === "light") await desk.accessible(page, `${name} ${theme} ${width}`);
      }
    }
    await page.setViewportSize({ width: 1180, height: 820 });
    await page.emulateMedia({ colorScheme: "light" });
  });
}
