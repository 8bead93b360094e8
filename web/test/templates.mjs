// Templates of photographs as the wasm build makes them, run outside of a browser: one line of base64 each, or `refused`.
// templates.mjs ROSTER MODELS_FOLDER PHOTOGRAPH...
import { readFileSync } from "node:fs";
import { join } from "node:path";
import init, { Commons, template_for_test } from "../src/wasm/commons.js";

const [roster, models, ...photographs] = process.argv.slice(2);
await init({ module_or_path: readFileSync(new URL("../src/wasm/commons_bg.wasm", import.meta.url)) });
const commons = new Commons(readFileSync(roster, "utf8"));
const files = JSON.parse(commons.roster()).profiles.find((profile) => profile.id === "face-512").models;
commons.load_models("face-512", ...files.map((file) => readFileSync(join(models, file.file))));
for (const photograph of photographs) {
  const bytes = readFileSync(photograph);
  const begun = performance.now();
  let line;
  try {
    line = template_for_test(commons, bytes);
  } catch (error) {
    if (JSON.parse(error).code === "page-fault") throw error;
    line = "refused";
  }
  console.log(line);
  console.error(`${photograph.split("/").slice(-2).join("/")} ${Math.round(performance.now() - begun)} ms`);
}
