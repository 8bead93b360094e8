// Everything of a member that is out there: records, grants, uses, receipts; narrowed, ended, and checked against the logs.
import { useEffect, useState } from "preact/hooks";
import { client } from "../core/client";
import { fetchHistory, followLogs, member, originOf, receipts, refresh, settled } from "../core/state";
import type { Audit, Decision, Grant, History, Kept, Logs, Trouble } from "../core/types";
import { t, time, word } from "../strings/i18n";
import { Notice, Page, Section, Told, Working, useAct } from "../ui/basics";
import { partyName, purposeTitle } from "../ui/consent";
import { Receipt } from "../ui/proof";
import { keep } from "../core/state";

export function Ledger() {
  const load = useAct<History>();
  useEffect(
    () =>
      void load.run(async () => {
        await refresh();
        return fetchHistory();
      }),
    [],
  );
  const one = member.value;
  const grants = one?.grants.filter((grant) => grant.state !== "revoked") ?? [];
  const uses = receipts.value.filter((kept) => kept.summary.outcome === "answered").reverse();
  return (
    <Page title={t("ledger.title")} lead={t("ledger.lead")}>
      {load.busy && !one && <Working what={t("working.nodes")} />}
      {load.trouble && <Told trouble={load.trouble} />}
      {load.value?.complaints.map((trouble, i) => <Told key={i} trouble={trouble} />)}
      {one && (
        <Section title={t("ledger.records")}>
          <ul class="list">
            {one.records.map((record) => (
              <li key={record.profile}>{t("ledger.record", { profile: record.profile, time: time(record.since), bytes: record.share_bytes })}</li>
            ))}
          </ul>
        </Section>
      )}
      <Section title={t("ledger.grants")}>
        {grants.length === 0 && <p>{t("ledger.nobody")}</p>}
        <ul class="list">
          {grants.map((grant) => (
            <OneGrant key={grant.grant} grant={grant} />
          ))}
        </ul>
      </Section>
      <Section title={t("ledger.uses")}>
        {uses.length === 0 && <p>{t("ledger.no_uses")}</p>}
        <ul class="list">
          {uses.map((kept) => (
            <Receipt key={kept.summary.operation} kept={kept} />
          ))}
        </ul>
      </Section>
      <Checks history={load.value} />
      <Section title={t("ledger.receipts")}>
        {receipts.value.length === 0 && <p>{t("ledger.none")}</p>}
        <ul class="list">
          {receipts.value
            .filter((kept) => kept.summary.outcome !== "answered")
            .reverse()
            .map((kept) => (
              <Receipt key={kept.summary.operation} kept={kept} />
            ))}
        </ul>
      </Section>
    </Page>
  );
}

function OneGrant({ grant }: { grant: Grant }) {
  const [narrowing, setNarrowing] = useState(false);
  const [uses, setUses] = useState(grant.uses_left);
  const day = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 10);
  const [until, setUntil] = useState(day(grant.terms.expires_at));
  const act = useAct<Decision>();
  const apply = () =>
    act.run(async () => {
      const end = Math.floor(Date.parse(`${until}T23:59:59`) / 1000);
      const earlier = until && end < grant.terms.expires_at ? end : undefined;
      const fewer = uses < grant.uses_left ? uses : undefined;
      return settled(await client.narrow(grant.grant, earlier, fewer, originOf(grant.grant)));
    });
  return (
    <li data-grant={grant.grant}>
      <div class="between">
        <strong>{partyName(grant.terms.party)}</strong>
        <span class={`sign ${grant.state === "active" ? "well" : "waits"}`}>{t(`ledger.state.${grant.state}`)}</span>
      </div>
      <span>
        {purposeTitle(grant.terms.purpose)}: {t("ledger.allows", { what: t(`terms.${grant.terms.operation}`), left: t("requests.left", { count: grant.uses_left }), uses: grant.terms.uses, time: time(grant.terms.expires_at) })}
      </span>
      <span class="soft small">{grant.last_used ? t("ledger.used_last", { time: time(grant.last_used) }) : t("ledger.used_never")}</span>
      <div class="acts">
        <button onClick={() => setNarrowing(!narrowing)} aria-expanded={narrowing}>
          {t("ledger.narrow")}
        </button>
        <button class="stop" disabled={act.busy} onClick={() => void act.run(async () => settled(await client.revoke(grant.grant, originOf(grant.grant))))}>
          {t("ledger.revoke")}
        </button>
      </div>
      {narrowing && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void apply();
          }}
        >
          <label>
            {t("ledger.uses_left")}
            <input type="number" min={0} max={grant.uses_left} value={uses} onInput={(event) => setUses(event.currentTarget.valueAsNumber || 0)} />
          </label>
          <label>
            {t("ledger.until")}
            <input type="date" max={day(grant.terms.expires_at)} value={until} onInput={(event) => setUntil(event.currentTarget.value)} />
          </label>
          <button class="main" disabled={act.busy}>
            {t("ledger.apply")}
          </button>
        </form>
      )}
      {act.busy && <Working what={t("working.change")} />}
      {act.trouble && <Told trouble={act.trouble} />}
      {act.value && <Notice kind="good" title={t(act.value.outcome.name === "revoked" ? "ledger.revoked" : "ledger.narrowed")} />}
    </li>
  );
}

interface Found {
  audit: Audit;
  logs: Logs;
  waits: Trouble[];
  faults: Trouble[];
}

/** Completes receipts with log proofs, reads the three logs on, and looks for what is not accounted for. */
async function checkEverything(unexplained: number[]): Promise<Found> {
  const [waits, faults]: [Trouble[], Trouble[]] = [[], []];
  const sort = (trouble: Trouble) => (["unavailable", "not-published"].includes(trouble.code) ? waits : faults).push(trouble);
  const whole: Kept[] = [];
  for (const kept of receipts.value) {
    if (kept.log) {
      whole.push(kept);
      continue;
    }
    try {
      const complete = await client.complete(kept);
      await keep(complete);
      whole.push(complete);
    } catch (error) {
      sort((error as { trouble: Trouble }).trouble);
      whole.push(kept);
    }
  }
  const logs = await followLogs();
  logs.problems.forEach(sort);
  return { audit: await client.audit(whole, unexplained), logs, waits, faults };
}

function Checks({ history }: { history: History | null }) {
  const act = useAct<Found>();
  const found = act.value;
  const bad = found && (found.faults.length || found.audit.orphans.length || found.audit.unmarked.length || found.audit.broken.length);
  return (
    <Section title={t("ledger.check_all")}>
      <div class="acts">
        <button disabled={act.busy} onClick={() => void act.run(() => checkEverything(history?.unexplained ?? []))}>
          {t("ledger.check_all")}
        </button>
      </div>
      {act.busy && <Working what={t("working.logs")} />}
      {act.trouble && <Told trouble={act.trouble} />}
      {found && (
        <div id="checked">
          <Notice kind={bad ? "stop" : found.waits.length ? "plain" : "good"} title={t(bad ? "ledger.checked_bad" : found.waits.length ? "ledger.checked_waits" : "ledger.checked_well")}>
            <p>
              {t("ledger.figures", {
                receipts: receipts.value.length,
                proven: receipts.value.filter((kept) => kept.log).length,
                entries: found.logs.agreed,
                mine: found.logs.mine.length,
              })}
            </p>
          </Notice>
          {[...found.faults, ...found.waits].map((trouble, i) => (
            <Told key={i} trouble={trouble} />
          ))}
          <ul class="list">
            {found.audit.orphans.map((orphan) => (
              <li key={orphan.index}>{t("ledger.orphan", { index: orphan.index, kind: word("kind", orphan.kind) })}</li>
            ))}
            {found.audit.unmarked.map((operation) => (
              <li key={operation}>{t("ledger.unmarked", { operation })}</li>
            ))}
            {found.audit.broken.map((broken) => (
              <li key={broken.operation}>{t("ledger.broken", { operation: broken.operation, text: broken.trouble.text })}</li>
            ))}
          </ul>
        </div>
      )}
      {history && history.unexplained.length > 0 && <p class="soft">{t("ledger.unexplained", { count: history.unexplained.length })}</p>}
    </Section>
  );
}

