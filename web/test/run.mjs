// The page in a real browser, against three real nodes: one file for each area, in an order in which later ones stand on earlier ones. Each
// test says in its name what must hold; the last line counts them.
//
// node test/run.mjs [PART]: only areas or tests whose name holds PART, and those on which they stand.
// Environment: COMMONS (the program), COMMONS_ASSETS, COMMONS_TEMPLATES (native templates), COMMONS_SHOTS (where pictures go), CHROMIUM.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Desk, shots } from "./desk.mjs";

const AREAS = ["first", "member", "consent", "personas", "passkey", "recovery", "better", "live", "bad", "look", "last"];

if (!existsSync(process.env.COMMONS ?? "")) throw new Error("COMMONS must name the program; run ./x web-test");
const begun = performance.now();
const desk = new Desk(process.argv[2]);
try {
  await desk.world.start(process.env.COMMONS_PAGE ?? "dist");
  const alice = await desk.world.browser({ pictures: [desk.world.photo(1, 1)] });
  const page = await desk.world.open(alice);
  for (const name of AREAS) {
    const { area, run } = await import(`./${name}.mjs`);
    desk.area = area;
    await run(desk, { alice, page });
  }
  desk.figures.axe_serious = desk.findings;
} catch (error) {
  desk.failed += 1;
  console.log(`FAILED (${error.stack ?? error})`);
} finally {
  await desk.world.stop();
}
desk.figures.seconds = Math.round((performance.now() - begun) / 1000);
console.log(JSON.stringify(desk.figures));
writeFileSync(join(shots, "figures.json"), JSON.stringify(desk.figures, null, 2));
console.log(`${desk.passed} passed, ${desk.failed} failed`);
process.exit(desk.failed ? 1 : 0);
