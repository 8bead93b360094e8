// "A new sample": in the place of the old one, and in a better model where the rules have one.
import { useState } from "preact/hooks";
import { client } from "../core/client";
import { charter, member, settled, touch } from "../core/state";
import type { Decision } from "../core/types";
import { t } from "../strings/i18n";
import { Notice, Page, Told, Working, useAct } from "../ui/basics";
import { Decided } from "../ui/proof";
import { Sample } from "../ui/sample";

/** The profile to which the member's record moves, where the rules in force have one. */
export function newer(): string | undefined {
  const own = member.value?.records.map((record) => record.profile) ?? [];
  return charter.value?.document.modalities?.find((modality) => modality.replaces && own.includes(modality.replaces))?.profile;
}

export function Renew() {
  const [ready, setReady] = useState(false);
  const act = useAct<Decision>();
  if (act.value) {
    const good = act.value.outcome.name === "renewed";
    return (
      <Page title={t(good ? "renew.yes" : "renew.no")}>
        <Notice kind={good ? "good" : "warn"} text={t(good ? "renew.yes_text" : "renew.no_text")} />
        <Decided decision={act.value} />
        <div class="acts">
          <a class="button main" href="#/home">
            {t("nav.home")}
          </a>
        </div>
      </Page>
    );
  }
  const next = newer();
  return (
    <Page title={t("renew.title")} lead={t("renew.text")}>
      {next && <Notice kind="plain" title={t("renew.better")} text={t("renew.better_text", { profile: next })} />}
      <Sample done={() => setReady(true)} />
      {ready && (
        <div class="acts">
          <button
            class="main"
            disabled={act.busy}
            onClick={() =>
              void act.run(async () => {
                touch();
                return settled(await client.renew(""));
              })
            }
          >
            {t("renew.go")}
          </button>
        </div>
      )}
      {act.busy && <Working what={t("working.renew")} />}
      {act.trouble && <Told trouble={act.trouble} again={() => act.clear()} />}
    </Page>
  );
}
