// "Prove it is me": a fresh sample beside the member's own record.
import { useState } from "preact/hooks";
import { client } from "../core/client";
import { settled, touch } from "../core/state";
import type { Decision } from "../core/types";
import { t } from "../strings/i18n";
import { Notice, Page, Told, Working, useAct } from "../ui/basics";
import { Decided } from "../ui/proof";
import { Sample } from "../ui/sample";

export function Verify() {
  const [ready, setReady] = useState(false);
  const act = useAct<Decision>();
  const again = () => {
    act.clear();
    setReady(false);
  };
  if (act.value) {
    const { matched } = act.value.outcome;
    const words = matched !== undefined ? (matched ? "verify.yes" : "verify.no") : "enrol.invalid";
    return (
      <Page title={t(words)}>
        <Notice kind={matched ? "good" : "warn"} text={matched ? t("verify.text") : t(matched !== undefined ? "verify.no_text" : "enrol.invalid_text")} />
        <Decided decision={act.value} />
        <div class="acts">
          <button onClick={again}>{t("verify.again")}</button>
          <a class="button" href="#/home">
            {t("nav.home")}
          </a>
        </div>
      </Page>
    );
  }
  return (
    <Page title={t("verify.title")} lead={t("verify.text")}>
      <Sample done={() => setReady(true)} />
      {ready && (
        <div class="acts">
          <button
            class="main"
            disabled={act.busy}
            onClick={() =>
              void act.run(async () => {
                touch();
                return settled(await client.verify(""));
              })
            }
          >
            {t("verify.go")}
          </button>
        </div>
      )}
      {act.busy && <Working what={t("working.verify")} />}
      {act.trouble && <Told trouble={act.trouble} again={again} />}
    </Page>
  );
}
