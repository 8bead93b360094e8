// The key: saved, brought, changed, removed; and what to do when a device is lost.
import { useEffect, useState } from "preact/hooks";
import { can, type Can } from "../core/passkey";
import { addPasskey, changePassphrase, device, forgetEverything, keyFile, passkey, removePasskey, roster, unlock } from "../core/state";
import { t } from "../strings/i18n";
import { Field, Notice, Page, Rows, Section, Told, Working, saveFile, useAct } from "../ui/basics";
import { NewPassphrase } from "../ui/passphrase";

export function Keys() {
  const remove = useAct<true>();
  return (
    <Page title={t("keys.title")} lead={t("keys.text")}>
      {device.value && <Rows rows={[[t("keys.device"), <span class="id">{device.value}</span>]]} />}
      {remove.value && !keyFile.value && <Notice kind="good" text={t("keys.removed")} />}
      {keyFile.value && (
        <Section title={t("keys.export")}>
          <p>{t("keys.export_text")}</p>
          <div class="acts">
            <button onClick={() => saveFile("me.key", keyFile.value as BlobPart)}>{t("keys.export")}</button>
            {!device.value && (
              <a class="button main" href="#/unlock">
                {t("unlock.title")}
              </a>
            )}
          </div>
        </Section>
      )}
      {!device.value && <Import />}
      {device.value && <Passkey />}
      {device.value && <Change />}
      <Section title={t("keys.lost_title")}>
        <ul class="list">
          <li>{t("keys.lost_1")}</li>
          <li>{t("keys.lost_2")}</li>
          <li>{t("keys.lost_3")}</li>
          <li>{t("keys.lost_4")}</li>
        </ul>
        <div class="acts">
          <a class="button" href="#/guardians">
            {t("nav.guardians")}
          </a>
          <a class="button" href="#/recover">
            {t("recover.title")}
          </a>
        </div>
      </Section>
      <Section title={t("keys.serve_title")}>
        <p>{t("keys.serve_text")}</p>
        <p class="id">{roster.value?.digest}</p>
      </Section>
      {keyFile.value && (
        <Section title={t("keys.remove")}>
          <p>{t("keys.remove_text")}</p>
          <details>
            <summary>{t("keys.remove")}</summary>
            <button class="stop" onClick={() => void remove.run(async () => (await forgetEverything(), true))}>
              {t("keys.remove_confirm")}
            </button>
          </details>
        </Section>
      )}
    </Page>
  );
}

function Import() {
  const [file, setFile] = useState<Uint8Array | null>(null);
  const [passphrase, setPassphrase] = useState("");
  const act = useAct<void>();
  return (
    <Section title={t("keys.import")}>
      <p>{t("keys.import_text")}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (file) void act.run(() => unlock(passphrase, file));
        }}
      >
        <label>
          {t("keys.file")}
          <input type="file" name="key-file" onChange={(event) => void event.currentTarget.files?.[0]?.arrayBuffer().then((bytes) => setFile(new Uint8Array(bytes)))} />
        </label>
        <Field name="import-passphrase" label={t("unlock.passphrase")} type="password" complete="current-password" value={passphrase} set={setPassphrase} />
        <button disabled={!file || !passphrase || act.busy}>{t("unlock.open")}</button>
      </form>
      {act.busy && <Working what={t("working.unlock")} />}
      {act.trouble && <Told trouble={act.trouble} />}
    </Section>
  );
}

function Change() {
  const [round, setRound] = useState(0);
  const act = useAct<true>();
  const change = (passphrase: string) => act.run(async () => (await changePassphrase(passphrase), true as const)).then((done) => done && setRound(round + 1));
  return (
    <Section title={t("keys.change")}>
      <NewPassphrase key={round} go={t("keys.change")} busy={act.busy} done={(passphrase) => void change(passphrase)} main={false} />
      {act.busy && <Working what={t("working.key")} />}
      {act.trouble && <Told trouble={act.trouble} />}
      {act.value && <Notice kind="good" text={t("keys.changed")} />}
    </Section>
  );
}

/** Opening the key without typing: only where this browser and this page can. */
function Passkey() {
  const [able, setAble] = useState<Can | null>(null);
  const act = useAct<"made" | "removed">();
  useEffect(() => void can().then(setAble), []);
  if (!able || (able === "no" && !passkey.value)) return null;
  return (
    <Section title={t("keys.passkey")}>
      <p>{t(passkey.value ? "keys.passkey_here" : able === "yes" ? "keys.passkey_text" : "keys.passkey_name")}</p>
      {(passkey.value || able === "yes") && (
        <div class="acts">
          {passkey.value ? (
            <button disabled={act.busy} onClick={() => void act.run(async () => (await removePasskey(), "removed"))}>
              {t("keys.passkey_remove")}
            </button>
          ) : (
            <button disabled={act.busy} onClick={() => void act.run(async () => (await addPasskey(), "made"))}>
              {t("keys.passkey_make")}
            </button>
          )}
        </div>
      )}
      {act.busy && <Working what={t("working.passkey")} />}
      {act.trouble && <Told trouble={act.trouble} />}
      {act.value && <Notice kind="good" text={t(`keys.passkey_${act.value}`)} />}
    </Section>
  );
}
