// Pages that need an open key ask for it here.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { device, expired, keyFile, LOCK_MINUTES, passkey, unlock, unlockWithPasskey } from "../core/state";
import { go } from "../router";
import { t } from "../strings/i18n";
import { Field, Notice, Page, Told, Working, useAct } from "./basics";

export function Gate({ children }: { children: ComponentChildren }) {
  if (device.value) return <>{children}</>;
  return keyFile.value ? <Unlock /> : <NoKey />;
}

function NoKey() {
  return (
    <Page title={t("unlock.none_title")} lead={t("unlock.none_text")}>
      <div class="acts">
        <a class="button main" href="#/enrol">
          {t("home.enrol")}
        </a>
        <a class="button" href="#/keys">
          {t("unlock.other")}
        </a>
        <a class="button" href="#/recover">
          {t("home.lost")}
        </a>
      </div>
    </Page>
  );
}

export function Unlock() {
  const [passphrase, setPassphrase] = useState("");
  const act = useAct<void>();
  return (
    <Page title={t("unlock.title")} lead={t("unlock.text")}>
      {expired.value && <Notice kind="plain" text={t("unlock.expired", { minutes: LOCK_MINUTES })} />}
      {passkey.value && (
        <>
          <div class="acts">
            <button class="main" disabled={act.busy} onClick={() => void act.run(unlockWithPasskey)}>
              {t("unlock.passkey")}
            </button>
          </div>
          <p class="soft">{t("unlock.or")}</p>
        </>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void act.run(() => unlock(passphrase));
        }}
      >
        <Field name="passphrase" label={t("unlock.passphrase")} type="password" complete="current-password" value={passphrase} set={setPassphrase} />
        <button class={passkey.value ? "" : "main"} disabled={act.busy || !passphrase}>
          {t("unlock.open")}
        </button>
      </form>
      {act.busy && <Working what={t("working.unlock")} />}
      {act.trouble && <Told trouble={act.trouble} />}
      <button class="text" onClick={() => go("keys")}>
        {t("unlock.other")}
      </button>
    </Page>
  );
}
