// What the tests stand on: a running `commons dev`, the command line, browsers with one person each before the camera.
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { film } from "./pictures.mjs";

export const PASSPHRASE = "correct horse battery";
/** The browser named in the environment: a path, or a program to be found as a shell does. */
function chromiumPath() {
  const name = process.env.CHROMIUM ?? "chromium";
  if (name.includes("/")) return name;
  const found = (process.env.PATH ?? "").split(":").map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (!found) throw new Error(`there is no ${name} on this machine; name a Chromium with CHROMIUM=PATH`);
  return found;
}

/** How long a recovery waits here; a real commons takes days. */
export const RECOVERY_DELAY_S = 6;
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
];

export class World {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "commons-page-"));
    this.assets = process.env.COMMONS_ASSETS;
    this.environment = { ...process.env, COMMONS_HOME: join(this.folder, "home"), COMMONS_PASSPHRASE: PASSPHRASE };
    this.browsers = [];
  }

  /** Starts three nodes that serve `page`; `more` are further arguments. */
  async start(page, more = []) {
    this.dev = spawn(process.env.COMMONS, ["dev", "--json", "--page", page, "--recovery-delay", String(RECOVERY_DELAY_S), ...more], { env: this.environment, stdio: ["ignore", "pipe", "inherit"] });
    const text = await new Promise((done, failed) => {
      let all = "";
      this.dev.stdout.on("data", (chunk) => {
        all += chunk;
        try {
          done(JSON.parse(all));
        } catch {
          // Not whole yet.
        }
      });
      this.dev.on("exit", (code) => failed(new Error(`commons dev ended with ${code}`)));
    });
    this.page = text.page;
    this.roster = text.roster;
    const begin = await (await fetch(`${this.page}/v1/page`)).json();
    this.urls = begin.urls;
  }

  async stop() {
    await Promise.all(this.browsers.map((browser) => browser.close().catch(() => undefined)));
    if (this.dev && this.dev.exitCode === null) {
      const ended = new Promise((done) => this.dev.once("exit", done));
      this.dev.kill("SIGTERM");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The command line: its JSON and exit code. */
  cli(...args) {
    return new Promise((done, failed) => {
      execFile(process.env.COMMONS, ["--json", ...args], { env: this.environment }, (error, stdout, stderr) => {
        const code = error ? error.code : 0;
        try {
          done({ code, ...JSON.parse(stdout || "{}") });
        } catch {
          failed(new Error(`commons ${args.join(" ")}: ${stdout} ${stderr}`));
        }
      });
    });
  }

  photo(subject, sample) {
    return join(this.assets, `faces/orl/s${subject}/${sample}.pgm`);
  }

  /** A browser before whose camera stand the people of `pictures`. */
  async browser({ pictures = [], light = 1 } = {}) {
    const flags = [...FLAGS];
    if (pictures.length > 0) {
      const path = join(this.folder, `camera-${this.browsers.length}.y4m`);
      film(path, pictures, { light });
      flags.push(`--use-file-for-fake-video-capture=${path}`);
    }
    const browser = await chromium.launch({ executablePath: chromiumPath(), args: flags });
    this.browsers.push(browser);
    return browser;
  }

  /** A fresh window on the page; `requests` gathers every request, `faults` what the console says. */
  async open(browser, options = {}, at = this.page) {
    const context = await browser.newContext({ viewport: { width: 1180, height: 820 }, colorScheme: "light", ...options });
    const page = await context.newPage();
    page.requests = [];
    page.faults = [];
    context.on("request", (request) => page.requests.push(request));
    page.on("pageerror", (error) => page.faults.push(error.message));
    page.on("console", (message) => message.type() === "error" && page.faults.push(message.text()));
    await this.go(page, "home", at);
    return page;
  }

  async go(page, where, at = this.page) {
    // The same address again would change nothing.
    if (page.url() === `${at}/#/${where}`) await page.goto(`${at}/#/${where === "home" ? "rules" : "home"}`);
    await page.goto(`${at}/#/${where}`);
    await page.waitForFunction(() => document.querySelector("h1") && !document.querySelector("main > .page > .progress"), null, { timeout: 30_000 });
  }
}

/** Waits for a heading. */
export async function heading(page, text, timeout = 60_000) {
  await page.getByRole("heading", { level: 1, name: text }).waitFor({ timeout });
}
