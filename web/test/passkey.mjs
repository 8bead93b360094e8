// A passkey opens the key, by Chromium's virtual authenticator; the passphrase still does.
import { strict as assert } from "node:assert";
import { PASSPHRASE, button, heading } from "./desk.mjs";

export const area = "passkey";

export async function run(desk, { alice }) {
  const { test, world } = desk;

  /** The page under a name: passkeys belong to none at a bare address. */
  const named = () => world.page.replace("127.0.0.1", "localhost");
  const authenticator = async (page, more = {}) => {
    const session = await page.context().newCDPSession(page);
    await session.send("WebAuthn.enable");
    const options = { protocol: "ctap2", ctap2Version: "ctap2_1", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, hasPrf: true, ...more };
    await session.send("WebAuthn.addVirtualAuthenticator", { options });
    return session;
  };

  await test("a passkey opens the key where the passphrase did, and the passphrase still does", async () => {
    const page = await world.open(alice, {}, named());
    await authenticator(page);
    await world.go(page, "recover", named());
    await desk.choosePassphrase(page);
    await button(page, "Make the key").click();
    await page.getByText("The number of this device").waitFor({ timeout: 30_000 });
    await world.go(page, "keys", named());
    const device = await page.locator("dd .id").first().innerText();
    await button(page, "Make a passkey").click();
    await page.getByText("From now on your passkey opens the key.").waitFor({ timeout: 30_000 });
    await desk.shot(page, "passkey");
    const lock = async () => {
      await page.reload();
      await world.go(page, "unlock", named());
      await heading(page, "Open your key");
    };
    await lock();
    await desk.shot(page, "passkey-unlock");
    await button(page, "Open with your passkey").click();
    await world.go(page, "keys", named());
    assert.equal(await page.locator("dd .id").first().innerText(), device);
    await lock();
    await page.locator('input[name="passphrase"]').fill(PASSPHRASE);
    await button(page, "Open").click();
    await heading(page, "Overview", 30_000);
    // Neither secret nor seed lies open in the browser's database.
    const kept = await page.evaluate(async () => {
      const database = await new Promise((done) => {
        const request = indexedDB.open("trust-commons");
        request.onsuccess = () => done(request.result);
      });
      return new Promise((done) => {
        const request = database.transaction("passkeys").objectStore("passkeys").getAll();
        request.onsuccess = () => done(request.result.map((one) => [Object.keys(one).sort().join(), String.fromCharCode(...one.file.slice(0, 5))]));
      });
    });
    assert.deepEqual(kept, [["file,id,salt", "TCKEY"]]);
    await world.go(page, "keys", named());
    await button(page, "Forget the passkey here").click();
    await page.getByText("The passkey opens nothing here any more").waitFor();
    await lock();
    assert.equal(await page.getByRole("button", { name: "Open with your passkey" }).count(), 0);
    await page.context().close();
  });

  await test("an authenticator that makes no secret is refused, and a bare address says why it has none", async () => {
    const page = await world.open(alice, {}, named());
    await authenticator(page, { hasPrf: false });
    await world.go(page, "recover", named());
    await desk.choosePassphrase(page);
    await button(page, "Make the key").click();
    await page.getByText("The number of this device").waitFor({ timeout: 30_000 });
    await world.go(page, "keys", named());
    await button(page, "Make a passkey").click();
    await page.getByText("This passkey cannot open a key").waitFor({ timeout: 30_000 });
    await page.context().close();
    const bare = await world.open(alice);
    await desk.enrolledCopy(bare);
    await bare.getByText("Passkeys belong to a name").waitFor();
    await bare.context().close();
  });
}
