// The key: saved, brought, changed, removed; and what to do when a device is lost.
import { useState } from "preact/hooks";
import { changePassphrase, device, forgetEverything, keyFile, roster, unlock } from "../core/state";
import { t } from "../strings/i18n";
import { Field, Notice, Page, Rows, Section, Told, Working, saveFile, useAct } from "../ui/basics";
import { LEAST } from "./enrol";

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
      {device.value && <Change />}
      <Section title={t("keys.lost_title")}>
        <ul class="list">
          <li>{t("keys.lost_1")}</li>
          <li>{t("keys.lost_2")}</li>
          <li>{t("keys.lost_3")}</li>
        </ul>
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
  const [passphrase, setPassphrase] = useState("");
  const [repeat, setRepeat] = useState("");
  const act = useAct<true>();
  const ready = [...passphrase].length >= LEAST && passphrase === repeat;
  return (
    <Section title={t("keys.change")}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) void act.run(async () => (await changePassphrase(passphrase), true));
        }}
      >
        <Field name="new-passphrase" label={t("enrol.passphrase", { least: LEAST })} type="password" complete="new-password" value={passphrase} set={setPassphrase} />
        <Field name="repeat-passphrase" label={t("enrol.repeat")} type="password" complete="new-password" value={repeat} set={setRepeat} hint={repeat && repeat !== passphrase ? t("enrol.differ") : null} />
        <button disabled={!ready || act.busy}>{t("keys.change")}</button>
      </form>
      {act.busy && <Working what={t("working.key")} />}
      {act.trouble && <Told trouble={act.trouble} />}
      {act.value && <Notice kind="good" text={t("keys.changed")} />}
    </Section>
  );
}
