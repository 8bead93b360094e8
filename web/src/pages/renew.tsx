// "A new sample": in the place of the old one, and in a better model where the rules have one.
import { client } from "../core/client";
import { charter, member } from "../core/state";
import type { Decision } from "../core/types";
import { t } from "../strings/i18n";
import { Notice, Page, useAct } from "../ui/basics";
import { Decided } from "../ui/proof";
import { CompareSample } from "../ui/sample";

/** The profile to which the member's record moves, where the rules in force have one. */
export function newer(): string | undefined {
  const own = member.value?.records.map((record) => record.profile) ?? [];
  return charter.value?.document.modalities?.find((modality) => modality.replaces && own.includes(modality.replaces))?.profile;
}

export function Renew() {
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
      <CompareSample act={act} words={{ go: t("renew.go"), working: t("working.renew") }} ask={() => client.renew("")} />
    </Page>
  );
}
