// Who asks, and the answer. An ask comes with the nodes' statements, or by its number or QR code from the one who asks.
import { useEffect, useState } from "preact/hooks";
import { client } from "../core/client";
import { member, refresh, settled } from "../core/state";
import type { Ask, Decision } from "../core/types";
import { rest } from "../router";
import { t, time, word } from "../strings/i18n";
import { Field, Notice, Page, Rows, Section, Told, Working, useAct } from "../ui/basics";
import { Scan } from "../ui/bring";
import { Consent, partyName } from "../ui/consent";
import { Decided } from "../ui/proof";
import { Sample } from "../ui/sample";

/** The number of an ask in whatever text a QR code or a message holds. */
export function askIn(text: string): string | null {
  return text.toLowerCase().match(/(?:^|[^0-9a-f])([0-9a-f]{32})(?:[^0-9a-f]|$)/)?.[1] ?? null;
}

export function Requests() {
  const named = rest("requests");
  const [shown, setShown] = useState<Ask | null>(null);
  const [done, setDone] = useState<{ decision: Decision; ask: Ask; yes: boolean } | null>(null);
  const list = useAct<unknown>();
  const seen = useAct<Ask>();
  useEffect(() => void list.run(refresh), []);
  const see = (id: string) => void seen.run(() => client.see(id)).then((ask) => ask && setShown(ask));
  useEffect(() => {
    const id = named && askIn(named);
    if (id) see(id);
  }, [named]);

  if (done) return <Answered {...done} close={() => (setDone(null), setShown(null))} />;
  const asks = [...(shown ? [shown] : []), ...(member.value?.asks ?? []).filter((ask) => ask.ask !== shown?.ask)];
  return (
    <Page title={t("requests.title")} lead={t("requests.lead")}>
      {list.busy && !member.value && <Working what={t("working.nodes")} />}
      {list.trouble && <Told trouble={list.trouble} />}
      {asks.length === 0 && !list.busy && <p>{t("requests.none")}</p>}
      {asks.map((ask) => (
        <One key={ask.ask} ask={ask} done={(decision, yes) => setDone({ decision, ask, yes })} />
      ))}
      <Section title={t("requests.bring")}>
        <p class="soft">{t("requests.bring_text")}</p>
        <Bring see={see} />
        {seen.busy && <Working what={t("working.nodes")} />}
        {seen.trouble && <Told trouble={seen.trouble} />}
      </Section>
    </Page>
  );
}

function Bring({ see }: { see: (id: string) => void }) {
  const [text, setText] = useState("");
  const [scanning, setScanning] = useState(false);
  const [wrong, setWrong] = useState(false);
  const show = (from: string) => {
    const id = askIn(from);
    setWrong(!id);
    if (id) see(id);
  };
  return (
    <>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          show(text);
        }}
      >
        <Field name="ask" label={t("requests.id")} value={text} set={setText} hint={wrong ? t("requests.no_id") : null} />
        <div class="acts">
          <button disabled={!text}>{t("requests.see")}</button>
          <button type="button" onClick={() => setScanning(!scanning)}>
            {t(scanning ? "sample.stop" : "requests.scan")}
          </button>
        </div>
      </form>
      {scanning && (
        <Scan
          fits={(code) => askIn(code) !== null}
          found={(code) => {
            setScanning(false);
            setText(code);
            show(code);
          }}
        />
      )}
    </>
  );
}

function One({ ask, done }: { ask: Ask; done: (decision: Decision, yes: boolean) => void }) {
  const [uses, setUses] = useState(ask.terms.uses);
  const [ready, setReady] = useState(ask.terms.operation === "membership");
  const act = useAct<Decision>();
  const answer = (yes: boolean) =>
    act
      .run(async () => settled(await (yes ? client.approve(ask.ask, { ...ask.terms, uses }) : client.refuse(ask.ask))))
      .then((decision) => decision && done(decision, yes));
  return (
    <Section title={t("requests.asks", { party: partyName(ask.terms.party) })}>
      <Consent terms={{ ...ask.terms, uses }} />
      <Rows rows={[[t("requests.answer_by"), t("requests.answer_by_text", { time: time(ask.answer_by) })]]} />
      {ask.terms.uses > 1 && (
        <details>
          <summary>{t("requests.fewer")}</summary>
          <label>
            {t("requests.uses")}
            <input type="number" min={1} max={ask.terms.uses} value={uses} onInput={(event) => setUses(Math.max(1, Math.min(ask.terms.uses, event.currentTarget.valueAsNumber || 1)))} />
          </label>
        </details>
      )}
      {ask.terms.operation === "verification" && (
        <>
          <p>{t("requests.needs_sample")}</p>
          <Sample done={() => setReady(true)} />
        </>
      )}
      <div class="acts">
        <button class="main" disabled={!ready || act.busy} onClick={() => void answer(true)}>
          {t("requests.approve")}
        </button>
        <button disabled={act.busy} onClick={() => void answer(false)}>
          {t("requests.refuse")}
        </button>
      </div>
      {act.busy && <Working what={t("working.answer")} />}
      {act.trouble && <Told trouble={act.trouble} />}
    </Section>
  );
}

function Answered({ decision, ask, yes, close }: { decision: Decision; ask: Ask; yes: boolean; close: () => void }) {
  const party = partyName(ask.terms.party);
  const { finding, subject, uses_left } = decision.outcome;
  const well = finding === "member" || finding === "matched";
  const title = yes ? t("requests.approved", { party, finding: word("finding", finding ?? "") }) : t("requests.refused");
  return (
    <Page title={title}>
      {yes ? (
        <>
          <Notice kind={well ? "good" : "warn"} title={t("requests.left", { count: uses_left ?? 0 })} />
          <Rows rows={[[t("requests.known"), <span class="id">{subject}</span>]]} />
        </>
      ) : (
        <Notice kind="good" text={t("requests.refused_text", { party })} />
      )}
      <Decided decision={decision} />
      <div class="acts">
        <button onClick={close}>{t("do.done")}</button>
        <a class="button" href="#/ledger">
          {t("nav.ledger")}
        </a>
      </div>
    </Page>
  );
}
