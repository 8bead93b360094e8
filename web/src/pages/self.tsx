// What the nodes store about a member, and taking it back.
import { useEffect } from "preact/hooks";
import { client } from "../core/client";
import { settled } from "../core/state";
import type { Decision, Statements } from "../core/types";
import { t } from "../strings/i18n";
import { Notice, Page, Told, Working, useAct } from "../ui/basics";
import { Grey, Spread } from "../ui/fields";
import { Decided } from "../ui/proof";

export function Inspect() {
  const act = useAct<Statements>();
  useEffect(() => void act.run(client.inspect), []);
  return (
    <Page title={t("inspect.title")} lead={t("inspect.text")} wide>
      {act.busy && <Working what={t("working.nodes")} />}
      {act.trouble && <Told trouble={act.trouble} again={() => void act.run(client.inspect)} />}
      {act.value && (
        <div class="nodes">
          {act.value.nodes.map((one) => {
            const record = one.member?.records[0];
            return (
              <div key={one.node} class={one.trouble ? "ill" : "well"}>
                <h2>{t("node.name", { node: one.node })}</h2>
                {one.trouble && <Told trouble={one.trouble} />}
                {!one.trouble && !record && <p>{t("inspect.nothing")}</p>}
                {record && <p>{t("inspect.node", { bytes: record.share_bytes, rows: one.member?.metadata_bytes ?? 0 })}</p>}
                {record?.sample && (
                  <>
                    <Grey values={record.sample.map((value) => value & 0xff)} label={t("inspect.picture", { node: one.node })} />
                    <Spread values={record.sample} most={65536} label={t("inspect.spread")} />
                    <p class="soft small">{t("inspect.spread")}</p>
                  </>
                )}
              </div>
            );
          })}
        </div>
      )}
    </Page>
  );
}

export function Withdraw() {
  const act = useAct<Decision>();
  if (act.value) {
    return (
      <Page title={t("withdraw.done")}>
        <Notice kind="good" text={t("withdraw.done_text", { count: act.value.outcome.records ?? 0 })} />
        <Decided decision={act.value} />
      </Page>
    );
  }
  return (
    <Page title={t("withdraw.title")} lead={t("withdraw.text")}>
      <div class="acts">
        <button class="stop" disabled={act.busy} onClick={() => void act.run(async () => settled(await client.withdraw()))}>
          {t("withdraw.confirm")}
        </button>
        <a class="button" href="#/home">
          {t("do.cancel")}
        </a>
      </div>
      {act.busy && <Working what={t("working.withdraw")} />}
      {act.trouble && <Told trouble={act.trouble} />}
    </Page>
  );
}

