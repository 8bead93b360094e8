// The commons in the open: its rules in plain words, its nodes and how they are.
import { useEffect } from "preact/hooks";
import { client, type Witnesses } from "../core/client";
import { charter, loadCharter, markRulesRead, roster, rulesRead } from "../core/state";
import type { Charter, NodeFacts } from "../core/types";
import { number, t } from "../strings/i18n";
import { Notice, Page, Rows, Section, Told, Working, useAct } from "../ui/basics";

export function Rules() {
  const act = useAct<Charter>();
  useEffect(() => void act.run(() => loadCharter(true)), []);
  const rules = charter.value;
  return (
    <Page title={t("rules.title")} lead={t("rules.lead")}>
      {act.busy && !rules && <Working what={t("working.nodes")} />}
      {act.trouble && <Told trouble={act.trouble} again={() => void act.run(() => loadCharter(true))} />}
      {rules && (
        <>
          {rulesRead.value !== null && (
            <Notice kind="warn" title={t("rules.changed", { old: rulesRead.value, now: rules.version })}>
              <div class="acts">
                <button onClick={() => void markRulesRead()}>{t("do.done")}</button>
              </div>
            </Notice>
          )}
          {rules.version === 0 && <Notice kind="plain" text={t("rules.default")} />}
          <p>{rules.document.summary}</p>
          <Document rules={rules} />
        </>
      )}
    </Page>
  );
}

function Document({ rules }: { rules: Charter }) {
  const { enrolment, retention, rates, purposes = [], parties = [], controllers = [], jurisdiction } = rules.document;
  const who = { open: t("rules.enrol_open"), vouched: t("rules.enrol_vouched", { count: enrolment.vouchers }), invited: t("rules.enrol_invited") };
  return (
    <>
      <Section title={t("rules.parties")}>
        {parties.length === 0 && <p>{t("rules.no_parties")}</p>}
        <ul class="list">
          {parties.map((party) => (
            <li key={party.id}>
              <strong>{t("rules.party", { name: party.name, uses: party.max_uses, days: party.max_days })}</strong>
              {party.operations.map((operation) => (
                <span key={operation}>
                  {t(`terms.${operation}`)} <span class="soft">{rules.reveals[operation]}</span>
                </span>
              ))}
              {party.purposes.map((term) => {
                const purpose = purposes.find((one) => one.term === term);
                return <span key={term}>{purpose ? `${purpose.title}: ${purpose.text}` : term}</span>;
              })}
            </li>
          ))}
        </ul>
      </Section>
      <Section title={t("rules.learn")}>
        <Rows
          rows={[
            [t("terms.membership"), rules.reveals.membership],
            [t("terms.verification"), rules.reveals.verification],
          ]}
        />
        <p>{t("rules.never")}</p>
      </Section>
      <Section title={t("rules.purposes")}>
        <Rows rows={purposes.map((purpose) => [purpose.title, `${purpose.text} (${purpose.term})`])} />
      </Section>
      <Section title={t("rules.version", { version: rules.version })}>
        <Rows
          rows={[
            [t("rules.enrolment"), who[enrolment.rule as keyof typeof who] ?? enrolment.rule],
            [t("rules.kept"), t("rules.kept_text", { outcomes: retention.outcomes_days, uses: retention.uses_days })],
            [t("rules.limits"), t("rules.limits_text", { verifications: rates.verifications_per_hour, asks: rates.asks_per_member_per_day })],
            controllers.length > 0 && [t("rules.controllers"), controllers.map((one) => `${one.name}, ${one.contact}`).join("; ")],
            !!jurisdiction && [t("rules.law"), jurisdiction],
            [t("rules.digest"), <span class="id">{rules.digest}</span>],
          ]}
        />
        <details>
          <summary>{t("rules.full")}</summary>
          <pre tabIndex={0}>{rules.text}</pre>
        </details>
      </Section>
    </>
  );
}

export function Nodes() {
  const act = useAct<{ facts: NodeFacts[]; witnesses: Witnesses }>();
  const load = () =>
    act.run(async () => {
      const [facts, witnesses] = await Promise.all([client.facts(), client.witnesses()]);
      return { facts, witnesses };
    });
  useEffect(() => {
    void load();
    const timer = setInterval(() => void load(), 10_000);
    return () => clearInterval(timer);
  }, []);
  const value = act.value ?? last;
  if (act.value) last = act.value;
  const silent = value?.facts.filter((one) => one.trouble) ?? [];
  return (
    <Page title={t("nodes.title")} lead={t("nodes.lead")} wide>
      {!value && <Working what={t("working.nodes")} />}
      {silent.length > 0 && <Told trouble={{ ...silent[0]!.trouble!, nodes: silent.map((one) => one.node) }} />}
      {value && (
        <div class="nodes">
          {value.facts.map((one) => {
            const entry = roster.value?.nodes.find((node) => node.node === one.node);
            const log = value.witnesses[one.node - 1];
            const { facts } = one;
            return (
              <div key={one.node} class={facts ? "well" : "ill"}>
                <div class="between">
                  <h2>{t("node.name", { node: one.node })}</h2>
                  <span class={`sign ${facts ? "well" : "ill"}`}>
                    <span aria-hidden="true">{facts ? "✓" : "✕"}</span> {t(facts ? "nodes.well" : "nodes.silent")}
                  </span>
                </div>
                <Rows
                  rows={[
                    [t("nodes.operator"), entry?.operator ?? ""],
                    [t("nodes.address"), <span class="id">{entry?.url}</span>],
                    facts && [t("nodes.version"), facts.version],
                    facts && [t("nodes.batches"), t("nodes.batches_text", { count: facts.batch })],
                    facts && [t("nodes.records"), Object.entries(facts.records).map(([profile, count]) => `${number(count)} (${profile})`).join(", ") || "0"],
                    facts && [t("nodes.touch"), facts.peers.filter((peer) => peer.available).map((peer) => t("node.one", { node: peer.node })).join(", ") || t("nodes.touch_none")],
                    log && [t("nodes.log"), t("nodes.log_text", { size: log.size, cosigned: log.cosigned_size })],
                    [t("nodes.key"), <span class="id">{entry?.signing_key.slice(0, 32)}</span>],
                  ]}
                />
              </div>
            );
          })}
        </div>
      )}
    </Page>
  );
}

/** What was shown last, so that a look every few seconds does not make the page flicker. */
let last: { facts: NodeFacts[]; witnesses: Witnesses } | null = null;
