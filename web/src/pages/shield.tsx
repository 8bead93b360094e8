// One press: everything stops. Then, in one's own time: what may go on.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { client } from "../core/client";
import { asTrouble, device, keep, member, refresh, settled } from "../core/state";
import type { Decision, Shielded, Trouble } from "../core/types";
import { go } from "../router";
import { nodes, t, time } from "../strings/i18n";
import { Notice, Page, Rows, Section, ShieldMark, Told, Working, capital, useAct } from "../ui/basics";
import { partyName, purposeTitle } from "../ui/consent";
import { Decided } from "../ui/proof";
import { Gate } from "../ui/gate";

const raising = signal(false);
const raised = signal<Shielded | null>(null);
const failed = signal<Trouble | null>(null);

/** Pulls the cord. No question is asked first: it can be taken back, and what happens meanwhile cannot. */
export async function raise(): Promise<void> {
  go("shield");
  if (!device.value || raising.value) return;
  raising.value = true;
  raised.value = failed.value = null;
  try {
    const shielded = await client.shieldUp();
    raised.value = shielded;
    if (shielded.decision) await keep(shielded.decision.receipt);
    await refresh().catch(() => undefined);
  } catch (error) {
    failed.value = asTrouble(error);
  } finally {
    raising.value = false;
  }
}

export function ShieldButton() {
  const up = !!member.value?.shield;
  return (
    <button class={`shield${up ? " up" : ""}`} title={t("shield.hint")} disabled={raising.value} onClick={() => (up ? go("shield") : void raise())}>
      <ShieldMark />
      {t(up ? "shield.is_up" : "shield.button")}
    </button>
  );
}

export function Shield() {
  return (
    <Gate>
      <Inside />
    </Gate>
  );
}

function Inside() {
  const [downed, setDowned] = useState<Decision | null>(null);
  useEffect(() => void refresh().catch(() => undefined), []);
  const since = member.value?.shield;
  if (raising.value) {
    return (
      <Page title={t("shield.button")}>
        <Working what={t("working.shield")} />
      </Page>
    );
  }
  if (downed && !since) {
    return (
      <Page title={t("shield.downed")}>
        <Notice kind="good" title={t("shield.downed_text", { count: member.value?.grants.filter((grant) => grant.state === "active").length ?? 0 })} />
        <Decided decision={downed} />
      </Page>
    );
  }
  const told = raised.value;
  const up = told?.statements.nodes.filter((one) => one.member?.shield) ?? [];
  const silent = told?.statements.nodes.filter((one) => !one.member?.shield).map((one) => one.node) ?? [];
  const title = !told ? t(since ? "shield.is_up" : "shield.button") : up.length === 3 ? t("shield.up_title") : up.length ? t("shield.partly_title", { count: up.length }) : t("shield.none_title");
  return (
    <Page title={title}>
      {failed.value && <Told trouble={failed.value} again={() => void raise()} />}
      {told && up.length === 3 && <Notice kind="good" text={t("shield.up_text")} />}
      {told && up.length > 0 && up.length < 3 && (
        <Notice kind="warn" text={t("shield.partly_text", { who: capital(nodes(silent)) })}>
          <div class="acts">
            <button onClick={() => void raise()}>{t("do.again")}</button>
          </div>
        </Notice>
      )}
      {told && up.length === 0 && (
        <Notice kind="stop" text={t("shield.none_text")}>
          <div class="acts">
            <button onClick={() => void raise()}>{t("do.again")}</button>
          </div>
        </Notice>
      )}
      {told && (
        <Rows
          rows={told.statements.nodes.map((one) => [
            t("node.name", { node: one.node }),
            one.member?.shield ? t("shield.since", { time: time(one.member.shield) }) : t("nodes.silent"),
          ])}
        />
      )}
      {told?.decision && (
        <>
          <p>{t("shield.suspended", { count: told.decision.outcome.grants ?? 0 })}</p>
          <Decided decision={told.decision} />
        </>
      )}
      {!told && since && <p>{t("shield.since", { time: time(since) })}</p>}
      {!told && !since && !failed.value && (
        <>
          <p>{t("shield.not_up")}</p>
          <div class="acts">
            <button class="main" onClick={() => void raise()}>
              <ShieldMark />
              {t("tour.t5_press")}
            </button>
          </div>
        </>
      )}
      {since && <Down done={(decision) => ((raised.value = null), setDowned(decision))} />}
    </Page>
  );
}

function Down({ done }: { done: (decision: Decision) => void }) {
  const suspended = member.value?.grants.filter((grant) => grant.state === "suspended") ?? [];
  const [picked, setPicked] = useState<string[]>([]);
  const act = useAct<Decision>();
  const toggle = (grant: string) => setPicked(picked.includes(grant) ? picked.filter((one) => one !== grant) : [...picked, grant]);
  return (
    <Section title={t("shield.down_title")}>
      <p>{t("shield.down_text")}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void act.run(async () => settled(await client.shieldDown(picked))).then((decision) => decision && done(decision));
        }}
      >
        {suspended.map((grant) => (
          <label class="check" key={grant.grant}>
            <input type="checkbox" checked={picked.includes(grant.grant)} onChange={() => toggle(grant.grant)} />
            <span>
              {partyName(grant.terms.party)}: {purposeTitle(grant.terms.purpose)}, {t("requests.left", { count: grant.uses_left })}
            </span>
          </label>
        ))}
        <button disabled={act.busy}>{t("shield.down")}</button>
      </form>
      {act.busy && <Working what={t("working.change")} />}
      {act.trouble && <Told trouble={act.trouble} />}
    </Section>
  );
}
