// Guardians and recovery: one guardian uses the page and one the command line; a thief is stopped; the member comes back on a new device.
import { strict as assert } from "node:assert";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { button, heading } from "./desk.mjs";

export const area = "recovery";

export async function run(desk, { alice }) {
  const { test, world } = desk;
  const file = (name) => join(world.folder, name);
  const [dora, carla, thief, phone] = [await world.open(alice), await world.open(alice), await world.open(alice), await world.open(alice)];
  let member;
  let persona;

  /** A key without a membership. */
  const key = async (page) => {
    await world.go(page, "recover");
    await desk.choosePassphrase(page);
    await button(page, "Make the key").click();
    await page.locator("[data-number]").waitFor({ timeout: 30_000 });
  };
  /** What a new device asks; both guardians say yes, one in the page and one at the command line. */
  const approvals = async (page, name) => {
    await world.go(page, "recover");
    const number = await page.locator("[data-number]").getAttribute("data-number");
    const plea = await desk.saved(page, () => button(page, "Save as a file").first().click(), file(`${name}.txt`));
    await world.go(carla, "guardians");
    await desk.bring(carla, "plea", plea);
    await carla.locator(`[data-number="${number}"]`).waitFor();
    assert.ok(await button(carla, "This device is theirs").isDisabled(), "not before they talked");
    await carla.locator('input[name="talked"]').check();
    await desk.shot(carla, "guardian-approves");
    await desk.accessible(carla, "guardian approves");
    await button(carla, "This device is theirs").click();
    await carla.getByText("Approved. Send this back to dora.").waitFor();
    const yes = await desk.saved(carla, () => button(carla, "Save as a file").last().click(), file(`${name}-carla.txt`));
    const seen = await world.cli("guardian", "requests", file(`${name}.txt`), "--member", "bo");
    assert.equal(seen.request.number, number, "both sides read one number");
    await world.cli("guardian", "approve", file(`${name}.txt`), "--yes", "--out", file(`${name}-bo.txt`), "--member", "bo");
    return [yes, readFileSync(file(`${name}-bo.txt`), "utf8")];
  };
  const begin = async (page, name, photograph) => {
    const texts = await approvals(page, name);
    await page.locator('input[name="approvals"]').setInputFiles([file(`${name}-carla.txt`), file(`${name}-bo.txt`)]);
    await page.getByText("2 guardians stand by this device").waitFor();
    await desk.shot(page, "recovery-ask");
    await desk.accessible(page, "recovery ask");
    await desk.sample(page, photograph);
    await page.getByText("Your sample is ready.").waitFor({ timeout: 60_000 });
    await button(page, "Begin to recover").click();
    return texts;
  };

  await test("guardians are named in the page, and each share opens for one guardian alone", async () => {
    await desk.enrol(dora, { photograph: world.photo(3, 1) });
    await heading(dora, "You are enrolled");
    member = await dora.locator("dd .id").first().innerText();
    await world.cli("guardian", "key", "new", "--out", file("bo.guardian"), "--member", "bo");
    await key(carla);
    await world.go(carla, "guardians");
    await carla.getByText("You have no membership to guard yet").waitFor();
    await desk.saved(carla, () => button(carla, "Save as a file").click(), file("carla.guardian"));
    await world.go(dora, "guardians");
    await dora.getByText("You have named none.").waitFor();
    await dora.locator('input[name="guardian-files"]').setInputFiles([file("bo.guardian"), file("carla.guardian")]);
    await dora.locator('input[name="need"]').fill("2");
    await desk.shot(dora, "guardians-name");
    await button(dora, "Name them on three nodes").click();
    await dora.getByText("Give each guardian their share").waitFor({ timeout: 60_000 });
    await dora.getByText("2 guardians can help bring you back; 2 must agree.").waitFor();
    // Waiting shares survive that the page is closed.
    await dora.reload();
    await desk.unlocked(dora);
    await world.go(dora, "guardians");
    const texts = {};
    for (const name of ["bo", "carla"]) {
      const item = dora.locator("li", { hasText: `for ${name}` });
      texts[name] = await desk.saved(dora, () => item.getByRole("button", { name: "Save as a file" }).click(), file(`for-${name}.share`));
      assert.ok(!texts[name].includes("dora") && !texts[name].includes(member));
    }
    await desk.shot(dora, "guardians-give");
    await button(dora, "I have given them all; forget them here").click();
    await dora.getByText("Give each guardian their share").waitFor({ state: "detached" });
    assert.equal((await world.cli("guardian", "accept", file("for-bo.share"), "--from", "dora", "--member", "bo")).code, 0);
    const accept = async (text) => {
      await world.go(carla, "guardians");
      await carla.getByText("Keep a share that somebody gave me").click();
      await desk.bring(carla, "share", text);
      await carla.locator('input[name="share-label"]').fill("dora");
      await button(carla, "Keep it").click();
    };
    await accept(texts.bo);
    await carla.getByText("This is not what it should be").waitFor();
    await accept(texts.carla);
    await carla.getByText("You are a guardian.").waitFor();
    // A persona, to see whether it comes back.
    await world.cli("context", "new", "choir", "--verifier", "Town Choir", "--out", file("choir.json"));
    const made = await dora.evaluate((context) => globalThis.commons.client.newPersona(context, "choir"), readFileSync(file("choir.json"), "utf8"));
    persona = made.persona.pseudonym;
  });

  await test("somebody else's face begins nothing, and too few guardians neither", async () => {
    await key(thief);
    await begin(thief, "thief", world.photo(4, 1));
    await thief.getByText("The sample does not match the member’s record").waitFor({ timeout: 60_000 });
    await world.go(thief, "recover");
    await thief.locator('input[name="approvals"]').setInputFiles([file("thief-bo.txt")]);
    await thief.getByText("1 guardian stands by this device").waitFor();
    await desk.sample(thief, world.photo(3, 2));
    await thief.getByText("Your sample is ready.").waitFor({ timeout: 60_000 });
    await button(thief, "Begin to recover").click();
    await thief.getByText("Too few guardians have approved").waitFor({ timeout: 60_000 });
    writeFileSync(file("torn.txt"), readFileSync(file("thief-bo.txt"), "utf8").replace(/[^\n]\n$/, "\n"));
    await thief.locator('input[name="approvals"]').setInputFiles([file("torn.txt")]);
    await thief.getByText("This is not what it should be").waitFor();
  });

  await test("a recovery that waits is seen on the old device, which says no", async () => {
    await world.go(thief, "recover");
    await thief.locator('input[name="approvals"]').setInputFiles([file("thief-carla.txt"), file("thief-bo.txt")]);
    await thief.getByText("2 guardians stand by this device").waitFor();
    await desk.sample(thief, world.photo(3, 2));
    await thief.getByText("Your sample is ready.").waitFor({ timeout: 60_000 });
    await button(thief, "Begin to recover").click();
    await heading(thief, "It waits");
    await world.go(dora, "home");
    await dora.getByText("Somebody is becoming you on another device").waitFor({ timeout: 30_000 });
    await desk.shot(dora, "recovery-seen");
    await button(dora, "It is not me: stop it").click();
    await dora.getByText("Somebody is becoming you on another device").waitFor({ state: "detached", timeout: 30_000 });
    await thief.getByText("Your old device said no").waitFor({ timeout: 30_000 });
  });

  await test("the member comes back on a new device: the same member, the same persona, the shield up", async () => {
    await key(phone);
    await begin(phone, "phone", world.photo(3, 4));
    await heading(phone, "It waits");
    await phone.getByText(/more, until/).waitFor();
    assert.ok(await button(phone, "Become myself again").isDisabled(), "not before its time");
    await desk.shot(phone, "recovery-waits");
    await desk.accessible(phone, "recovery waits");
    // The page may be closed meanwhile.
    await phone.reload();
    await desk.unlocked(phone);
    await heading(phone, "The time has passed", 60_000);
    await button(phone, "Become myself again").click();
    await heading(phone, "You are yourself again");
    assert.equal(await phone.locator("dd .id").first().innerText(), member);
    await phone.getByText("their secret is back").waitFor();
    await desk.shot(phone, "recovery-back");
    await world.go(phone, "shield");
    await heading(phone, "Shield is up");
    await button(phone, "Take it down").click();
    await heading(phone, "Your shield is down");
    const again = await phone.evaluate((context) => globalThis.commons.client.newPersona(context, "choir"), readFileSync(file("choir.json"), "utf8"));
    assert.equal(again.persona.pseudonym, persona, "the same person in the same place");
    // The old device is nobody's.
    await world.go(dora, "home");
    await dora.getByText("This device is nobody’s since").waitFor({ timeout: 30_000 });
    await desk.shot(dora, "recovery-replaced");
  });

  for (const page of [dora, carla, thief, phone]) await page.context().close();
}
