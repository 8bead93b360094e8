// The first visit, and whether the browser's build of the client is the native one.
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { decoded } from "./desk.mjs";

export const area = "first visit";

export async function run(desk, { alice }) {
  const { test, world, figures } = desk;
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
}
