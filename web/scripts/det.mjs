// Renews a profile's DET curve for the accuracy page from an evaluation on the data that the profile names:
//   commons evaluate --templates vectors.npy --index index.csv --profile face-512 --json | node web/scripts/det.mjs
import { readFileSync, writeFileSync } from "node:fs";

const told = JSON.parse(readFileSync(0, "utf8"));
const root = new URL("../../", import.meta.url);
const profile = readFileSync(new URL(`profiles/${told.profile}.toml`, root), "utf8");
const stated = (name) => JSON.parse(profile.match(new RegExp(`^${name} = (.*)$`, "m"))[1]);
const here = told.det.find((point) => point.score === 0);
for (const name of ["fmr", "fnmr"]) {
  if (Math.abs(here[name] / stated(name) - 1) > 0.06) throw new Error(`${told.profile}: ${name} is ${here[name]} on these data, and the profile states ${stated(name)}`);
}
const curve = { profile: told.profile, data: stated("data"), date: new Date().toISOString().slice(0, 10), eer: told.eer, det: told.det };
const points = curve.det.map((point) => `    ${JSON.stringify(point)}`).join(",\n");
const head = JSON.stringify({ ...curve, det: undefined }, null, 2).replace(/\n}$/, "");
writeFileSync(new URL(`web/src/data/${told.profile}.det.json`, root), `${head},\n  "det": [\n${points}\n  ]\n}\n`);
console.log(`${told.profile}: ${curve.det.length} points`);
