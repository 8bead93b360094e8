// Writes .gz and .br beside every text and wasm file of the build, so that nodes need not compress, and says what a first visit loads.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const root = new URL("../dist/", import.meta.url).pathname;
const sizes = {};
function walk(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) walk(path);
    else if (/\.(js|css|html|wasm|svg|webmanifest|json)$/.test(name)) {
      const bytes = readFileSync(path);
      const wasm = name.endsWith(".wasm");
      const gzip = gzipSync(bytes, { level: 9 });
      const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: wasm ? 9 : 11 } });
      if (bytes.length > 512) {
        writeFileSync(path + ".gz", gzip);
        writeFileSync(path + ".br", brotli);
      }
      sizes[path.slice(root.length)] = { bytes: bytes.length, gzip: gzip.length, brotli: brotli.length };
    }
  }
}
walk(root);
const first = Object.entries(sizes).filter(([name]) => !name.endsWith(".wasm"));
const sum = (key) => first.reduce((total, [, size]) => total + size[key], 0);
const wasm = Object.entries(sizes).find(([name]) => name.endsWith(".wasm"));
const kb = (bytes) => Math.round(bytes / 1000) + " KB";
console.log(`page: ${kb(sum("bytes"))}, gzip ${kb(sum("gzip"))}, brotli ${kb(sum("brotli"))}`);
if (wasm) console.log(`wasm: ${kb(wasm[1].bytes)}, gzip ${kb(wasm[1].gzip)}, brotli ${kb(wasm[1].brotli)}`);
if (sum("gzip") > 300_000) {
  console.error("the page is larger than 300 KB before wasm and models");
  process.exit(1);
}
