// Personas: made in the page, shown to verifiers that run the command line, and the same wallet there.
import { strict as assert } from "node:assert";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { button, heading } from "./desk.mjs";

export const area = "personas";

export async function run(desk, { alice, page }) {
  const { test, world } = desk;
  const file = (name) => join(world.folder, name);
  /** The beginning of the roster's digest, which names folders in the command line's home. */
  const commons = async () => (await page.locator(".foot").innerText()).match(/commons ([0-9a-f]{16})/)[1];
  let clinic;

  const be = async (context, label) => {
    await world.go(page, "personas/new");
    await desk.bring(page, "context", readFileSync(context, "utf8"));
    await page.getByRole("heading", { name: "Who you would be, and for whom" }).waitFor();
    await page.locator('input[name="label"]').fill(label);
    await button(page, "Be somebody here").click();
    await page.getByRole("heading", { level: 1, name: /You are/ }).waitFor({ timeout: 60_000 });
  };
  const see = async (label) => {
    await world.go(page, "personas");
    await page.getByRole("link", { name: label }).click();
    await heading(page, label);
    return page.locator("dd .id").last().innerText();
  };
  const prove = async (challenge, to) => {
    await world.go(page, "personas/prove");
    await desk.bring(page, "challenge", challenge);
    await page.locator('input[name="to"]').fill(to);
    await page.getByRole("heading", { name: "What they ask" }).waitFor();
    await button(page, "Show them").click();
  };

  await test("a persona is made for a context, once, and its membership is bound with a receipt", async () => {
    await world.cli("context", "new", "programme", "--verifier", "https://clinic.example", "--demand", "community", "--out", file("clinic.json"));
    await be(file("clinic.json"), "clinic");
    await page.getByText("You are somebody new").waitFor();
    await page.getByText("Your membership is bound", { exact: true }).waitFor();
    await page.getByText(/entry \d+ of all three, proven here/).waitFor();
    await desk.shot(page, "persona-new");
    await be(file("clinic.json"), "clinic");
    await page.getByText("one person, one persona").waitFor();
    clinic = await see("clinic");
    assert.match(clinic, /^[0-9a-f]{96}$/);
  });

  await test("a challenge is answered, and the verifier sees one person and what the context asks, nothing else", async () => {
    await world.cli("challenge", file("clinic.json"), "--out", file("challenge.json"));
    await prove(readFileSync(file("challenge.json"), "utf8"), "https://clinic.example");
    await heading(page, "Ready for https://clinic.example");
    await desk.shot(page, "persona-shown");
    await desk.saved(page, () => button(page, "Save as a file").click(), file("proof.json"));
    const verified = await world.cli("verify-proof", file("proof.json"), "--context", file("clinic.json"));
    assert.equal(verified.code, 0);
    assert.equal(verified.pseudonym, clinic);
    assert.deepEqual(Object.keys(verified.disclosed), ["community"]);
    assert.equal((await world.cli("verify-proof", file("proof.json"), "--context", file("clinic.json"))).valid, false, "one challenge, one answer");
    await see("clinic");
    await page.getByText(/shown, with/).waitFor();
  });

  await test("who asks in another's name gets nothing, and the owner sees that somebody tried", async () => {
    await world.cli("challenge", file("clinic.json"), "--out", file("challenge-2.json"));
    await prove(readFileSync(file("challenge-2.json"), "utf8"), "https://evil.example");
    await page.getByRole("heading", { name: "Somebody asks in another’s name" }).waitFor();
    await see("clinic");
    await page.getByText(/not shown:/).waitFor();
  });

  await test("the code of this moment is checked face to face, and changes", async () => {
    await see("clinic");
    await button(page, "Show the code of this moment").click();
    const made = page.locator("[data-made]");
    await made.waitFor();
    await page.locator("svg.qr").waitFor();
    await desk.shot(page, "persona-code");
    await desk.accessible(page, "persona code");
    const first = await made.getAttribute("data-made");
    const code = await page.locator("pre").textContent();
    const checked = await world.cli("persona", "check-code", code, "--context", file("clinic.json"), "--is", clinic.slice(0, 8));
    assert.equal(checked.code, 0);
    await page.waitForFunction((before) => document.querySelector("[data-made]")?.dataset.made !== before, first, { timeout: 15_000 });
    // The other side of it, in the page.
    const other = await world.open(alice);
    await desk.enrolledCopy(other);
    await world.go(other, "personas/check");
    await desk.bring(other, "check-context", readFileSync(file("clinic.json"), "utf8"));
    await desk.bring(other, "check-code", await page.locator("pre").textContent());
    await button(other, "Check").first().click();
    await other.getByText("This persona made this code just now").waitFor();
    await desk.bring(other, "check-code", code.replace(/"data":"(.)/, (_, letter) => `"data":"${letter === "A" ? "B" : "A"}`));
    await button(other, "Check").first().click();
    await other.getByText(/Not made just now|This cannot be used|This is for another place/).first().waitFor();
    await other.context().close();
  });

  await test("two personas are revealed to be one person: to all, or to one who can convince nobody else", async () => {
    await world.cli("context", "new", "co-op", "--verifier", "River Co-op", "--out", file("coop.json"));
    await be(file("coop.json"), "co-op");
    assert.equal(await page.getByText("Your membership is bound", { exact: true }).count(), 0, "bound once");
    const reveal = async (key) => {
      await world.go(page, `personas/reveal/${clinic}`);
      await page.getByLabel(/co-op, River Co-op/).check();
      if (key) {
        await page.getByLabel(/To one alone/).check();
        await desk.bring(page, "reveal-key", key);
      }
      await desk.accessible(page, "persona reveal");
      await button(page, "Say it").click();
      await heading(page, "Revealed");
      await desk.saved(page, () => button(page, "Save as a file").click(), file("reveal.json"));
    };
    await reveal(null);
    assert.equal((await world.cli("persona", "check-reveal", file("reveal.json"))).code, 0);
    await world.cli("context", "reveal-key", "judge", "--out", file("judge.json"));
    await reveal(readFileSync(file("judge.json"), "utf8"));
    assert.equal((await world.cli("persona", "check-reveal", file("reveal.json"))).code, 1, "to the judge alone");
    assert.equal((await world.cli("persona", "check-reveal", file("reveal.json"), "--key", "judge")).code, 0);
  });

  await test("the wallet goes to the command line and back", async () => {
    await world.go(page, "personas");
    const folder = join(world.folder, "home/wallets", await commons());
    mkdirSync(folder, { recursive: true });
    await desk.saved(page, () => button(page, "Save a copy").click(), join(folder, "from-page.wallet"));
    const list = await world.cli("persona", "list", "--member", "from-page");
    assert.equal(list.code, 0);
    assert.deepEqual(list.personas.map((persona) => persona.label).sort(), ["clinic", "co-op"]);
    assert.ok(list.personas.some((persona) => persona.pseudonym === clinic));
    await world.cli("context", "new", "library", "--verifier", "Town Library", "--out", file("library.json"));
    await world.cli("persona", "new", file("library.json"), "--member", "from-page");
    await world.go(page, "personas");
    await page.locator('input[name="wallet-file"]').setInputFiles(join(folder, "from-page.wallet"));
    await page.getByRole("link", { name: "library" }).waitFor();
    // Somebody else's wallet opens with nobody's key but theirs.
    await page.locator('input[name="wallet-file"]').setInputFiles(file("clinic.json"));
    await page.getByText("This is not what it should be").waitFor();
  });

  await test("a persona that was given up is shown to nobody any more", async () => {
    await see("library");
    await button(page, "Give it up").click();
    await button(page, "Give it up for good").click();
    await page.getByText("You gave it up on").waitFor();
    await world.cli("challenge", file("library.json"), "--out", file("challenge-3.json"));
    await prove(readFileSync(file("challenge-3.json"), "utf8"), "Town Library");
    await page.getByText("You gave this persona up").waitFor();
  });

  await test("no node hears of a proof, a code or a reveal", async () => {
    await world.go(page, "personas");
    const posts = page.requests.filter((request) => request.method() === "POST").length;
    await world.cli("challenge", file("clinic.json"), "--out", file("challenge-4.json"));
    await prove(readFileSync(file("challenge-4.json"), "utf8"), "https://clinic.example");
    await heading(page, "Ready for https://clinic.example");
    assert.equal(page.requests.filter((request) => request.method() === "POST").length, posts);
  });
}
