// A commons of its own, to which a better model comes: members move in the page, newcomers are compared with both.
import { strict as assert } from "node:assert";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { button, Desk, heading, shots } from "./desk.mjs";

export const area = "better model";

/** The operators adopt rules in which the newer profile replaces the older one. */
async function adopt(world) {
  const file = (name) => join(world.folder, name);
  await world.cli("charter", "new", "--out", file("next.toml"));
  const text = readFileSync(file("next.toml"), "utf8");
  const at = text.indexOf('profile = "face-512-mirrored"');
  assert.ok(at > 0);
  const entry = text.slice(at).replace('stations = "any"', 'stations = "any"\nreplaces = "face-512"');
  writeFileSync(file("next.toml"), text.slice(0, at) + entry);
  const signatures = [1, 2, 3].map((node) => file(`next.toml.signature-${node}`));
  for (const node of [1, 2, 3]) assert.equal((await world.cli("charter", "sign", file("next.toml"), "--identity", file(`data/node-${node}`))).code, 0);
  assert.equal((await world.cli("charter", "join", file("next.toml"), ...signatures, "--out", file("next.charter"))).code, 0);
  assert.equal((await world.cli("charter", "adopt", file("next.charter"))).code, 0);
}

export async function run(desk, { alice }) {
  await desk.test("a member moves to a better model, and nobody is in with a record of each", async () => {
    const other = new Desk();
    const { world } = other;
    try {
      const profile = join(import.meta.dirname, "../../profiles/face-512-mirrored.toml");
      await world.start(process.env.COMMONS_PAGE ?? "dist", ["--profile", profile, "--data-dir", join(world.folder, "data")]);
      const page = await world.open(alice);
      await other.enrol(page, { photograph: world.photo(1, 1) });
      await heading(page, "You are enrolled");
      await adopt(world);

      await page.reload();
      await world.go(page, "unlock");
      await other.unlocked(page);
      await page.getByText("Your commons has a better model").waitFor();
      await page.screenshot({ path: join(shots, "better-model.png"), fullPage: true });
      await page.getByRole("link", { name: "Move your record to it with a new sample" }).click();
      await page.getByText("With this sample your record moves to face-512-mirrored.").waitFor();
      await desk.accessible(page, "renew");
      await other.renew(page, world.photo(1, 3));
      await heading(page, "Your record is of the new sample now");
      await page.screenshot({ path: join(shots, "renewed.png"), fullPage: true });
      await other.verify(page, world.photo(1, 5));
      await heading(page, "The same person who enrolled with this key");
      await world.go(page, "home");
      assert.equal(await page.getByText("Your commons has a better model").count(), 0, "nothing is left to move");

      const twin = await world.open(alice);
      await other.enrol(twin, { photograph: world.photo(1, 4) });
      await heading(twin, /Not enrolled: somebody with a matching template/);
      await twin.context().close();
      const newcomer = await world.open(alice);
      await other.enrol(newcomer, { photograph: world.photo(7, 1) });
      await heading(newcomer, "You are enrolled");
      await other.verify(newcomer, world.photo(7, 2));
      await heading(newcomer, "The same person who enrolled with this key");
      await newcomer.context().close();
      await page.context().close();
    } finally {
      await world.stop();
    }
  });
}
