// "Prove it is me": a fresh sample beside the member's own record.
import { client } from "../core/client";
import type { Decision } from "../core/types";
import { t } from "../strings/i18n";
import { Notice, Page, useAct } from "../ui/basics";
import { Decided } from "../ui/proof";
import { CompareSample } from "../ui/sample";

export function Verify() {
  const act = useAct<Decision>();
  if (act.value) {
    const { matched } = act.value.outcome;
    const words = matched !== undefined ? (matched ? "verify.yes" : "verify.no") : "enrol.invalid";
    return (
      <Page title={t(words)}>
        <Notice kind={matched ? "good" : "warn"} text={matched ? t("verify.text") : t(matched !== undefined ? "verify.no_text" : "enrol.invalid_text")} />
        <Decided decision={act.value} />
        <div class="acts">
          <button onClick={act.clear}>{t("verify.again")}</button>
          <a class="button" href="#/home">
            {t("nav.home")}
          </a>
        </div>
      </Page>
    );
  }
  return (
    <Page title={t("verify.title")} lead={t("verify.text")}>
      <CompareSample act={act} words={{ go: t("verify.go"), working: t("working.verify") }} ask={() => client.verify("")} />
    </Page>
  );
}
