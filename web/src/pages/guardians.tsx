// Guardians: who can bring a member back, and being one for somebody else.
import { useEffect, useState } from "preact/hooks";
import { client } from "../core/client";
import { device, settled, touch } from "../core/state";
import type { Decision, GuardedShare, Guardians as All, Plea } from "../core/types";
import { t, time } from "../strings/i18n";
import { Field, Notice, Page, Rows, Section, Told, Working, useAct } from "../ui/basics";
import { Bring, Files, HandOut } from "../ui/bring";
import { Decided } from "../ui/proof";
import { Recovering } from "./recover";

const DAY = 86_400;
/** For how many days an approval counts. */
const APPROVAL_DAYS = 7;

interface Newcomer {
  name: string;
  code: string;
}

export function Guardians() {
  const load = useAct<All>();
  const again = () => load.run(client.guardians);
  useEffect(() => void again(), []);
  return (
    <Page title={t("nav.guardians")} lead={t("guardians.lead")}>
      {load.busy && !load.value && <Working what={t("working.nodes")} />}
      {load.trouble && load.trouble.code !== "not-a-member" && <Told trouble={load.trouble} again={() => void again()} />}
      {load.trouble?.code === "not-a-member" && <Notice kind="plain" text={t("guardians.not_yet")} />}
      {load.value && <Mine all={load.value} changed={() => void again()} />}
      <Guard />
    </Page>
  );
}

function Mine({ all, changed }: { all: All; changed: () => void }) {
  const counting = all.guardians.filter((one) => one.counts);
  const kept = all.guardians.filter((one) => one.until === null);
  return (
    <>
      {all.recoveries
        .filter((recovery) => recovery.state === "waiting" && recovery.device !== device.value)
        .map((recovery) => (
          <Recovering key={recovery.recovery} recovery={recovery} />
        ))}
      {all.handout.length > 0 && <Give all={all} changed={changed} />}
      <Section title={t("guardians.yours")}>
        {all.guardians.length === 0 ? (
          <p>{t("guardians.nobody")}</p>
        ) : (
          <>
            <p>{t("guardians.some", { count: counting.length, need: all.need })}</p>
            {all.next_need && <p class="soft">{t("guardians.next_need", { need: all.next_need.need, from: time(all.next_need.from) })}</p>}
            <ul class="list">
              {all.guardians.map((one) => (
                <li key={one.share}>
                  <div class="between">
                    <strong>{one.name ?? t("guardians.unnamed", { share: one.share.slice(0, 8) })}</strong>
                    <span class="soft small">{counts(one, all.now)}</span>
                  </div>
                </li>
              ))}
            </ul>
          </>
        )}
      </Section>
      <Change all={all} known={kept.length} changed={changed} />
    </>
  );
}

function counts(one: All["guardians"][number], now: number): string {
  if (one.from > now) return t("guardians.counts_from", { from: time(one.from) });
  if (one.until === null) return t("guardians.counts");
  return one.until > now ? t("guardians.counts_until", { until: time(one.until) }) : t("guardians.counts_no_more");
}

/** Shares that were made and wait to be given away; they leave this browser only by the member's hand. */
function Give({ all, changed }: { all: All; changed: () => void }) {
  const act = useAct<void>();
  return (
    <Section title={t("guardians.give")}>
      <p>{t("guardians.give_text")}</p>
      <ul class="list">
        {all.handout.map((share) => (
          <li key={share.text}>
            <strong>{t("guardians.for", { name: share.name })}</strong>
            <HandOut text={share.text} file={`for-${share.name}.share`} main={false} />
          </li>
        ))}
      </ul>
      <div class="acts">
        <button class="main" disabled={act.busy} onClick={() => void act.run(async () => (await client.handedOut(), changed()))}>
          {t("guardians.given")}
        </button>
      </div>
      {act.trouble && <Told trouble={act.trouble} />}
    </Section>
  );
}

function Change({ all, known, changed }: { all: All; known: number; changed: () => void }) {
  const [newcomers, setNewcomers] = useState<Newcomer[]>([]);
  const [name, setName] = useState("");
  const [code, setCode] = useState("");
  const [leave, setLeave] = useState<string[]>([]);
  const [need, setNeed] = useState<number | null>(null);
  const act = useAct<Decision>();
  const total = known - leave.length + newcomers.length;
  const needed = total === 0 ? 0 : Math.min(total, need ?? Math.max(1, all.need || Math.ceil((total + 1) / 2)));
  const add = (some: Newcomer[]) => {
    const fresh = some.filter((one) => one.name && ![...newcomers, ...all.named.map((name) => ({ name }))].some((other) => other.name === one.name));
    setNewcomers([...newcomers, ...fresh]);
    act.clear();
  };
  const toggle = (one: string) => setLeave(leave.includes(one) ? leave.filter((other) => other !== one) : [...leave, one]);
  const apply = () =>
    act
      .run(async () => (touch(), settled(await client.setGuardians(needed, leave, newcomers))))
      .then((decision) => {
        if (!decision) return;
        setNewcomers([]);
        setLeave([]);
        changed();
      });
  return (
    <Section title={t(known ? "guardians.change" : "guardians.name_some")}>
      <p>{t("guardians.how")}</p>
      <div class="acts">
        <Files name="guardian-files" label={t("guardians.files")} add={(files) => add(files.map((file) => ({ name: file.name, code: file.text.trim() })))} />
      </div>
      <details>
        <summary>{t("guardians.by_code")}</summary>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            add([{ name: name.trim(), code: code.trim() }]);
            setName("");
            setCode("");
          }}
        >
          <Field name="guardian-name" label={t("guardians.their_name")} value={name} set={setName} />
          <Bring name="guardian-code" label={t("guardians.their_code")} text={code} set={setCode} fits={(text) => text.trim().startsWith("guardian:")} />
          <button disabled={!name.trim() || !code.trim()}>{t("guardians.add")}</button>
        </form>
      </details>
      {newcomers.length > 0 && (
        <ul class="list">
          {newcomers.map((one) => (
            <li key={one.name}>
              <div class="between">
                <span>
                  <strong>{one.name}</strong> <span class="soft small id">{one.code.slice(0, 24)}…</span>
                </span>
                <button class="text" onClick={() => setNewcomers(newcomers.filter((other) => other !== one))}>
                  {t("guardians.not_this")}
                </button>
              </div>
            </li>
          ))}
        </ul>
      )}
      {all.named.length > 0 && (
        <fieldset>
          <legend>{t("guardians.leave")}</legend>
          {all.named.map((one) => (
            <label class="check" key={one}>
              <input type="checkbox" checked={leave.includes(one)} onChange={() => toggle(one)} />
              <span>{one}</span>
            </label>
          ))}
        </fieldset>
      )}
      {total > 0 && (
        <label>
          {t("guardians.need", { count: total })}
          <input name="need" type="number" min={1} max={total} value={needed} onInput={(event) => setNeed(Math.max(1, Math.min(total, event.currentTarget.valueAsNumber || 1)))} />
        </label>
      )}
      <p class="soft small">{t(total === 0 ? "guardians.none_left" : "guardians.when")}</p>
      <div class="acts">
        <button class="main" disabled={act.busy || (newcomers.length === 0 && leave.length === 0 && (need === null || need === all.need))} onClick={() => void apply()}>
          {t("guardians.apply")}
        </button>
      </div>
      {act.busy && <Working what={t("working.guardians")} />}
      {act.trouble && <Told trouble={act.trouble} />}
      {act.value && (
        <>
          <Notice kind="good" text={t("guardians.set", { time: time(act.value.outcome.settled_at ?? act.value.decided_at) })} />
          <Decided decision={act.value} />
        </>
      )}
    </Section>
  );
}

/** The other side: keeping a share for somebody, and answering when their new device asks. */
function Guard() {
  const [code, setCode] = useState("");
  const shares = useAct<GuardedShare[]>();
  const [share, setShare] = useState("");
  const [label, setLabel] = useState("");
  useEffect(() => {
    void client.guardianCode().then(setCode, () => undefined);
    void shares.run(client.guarded);
  }, []);
  const accept = useAct<GuardedShare[]>();
  const kept = accept.value ?? shares.value ?? [];
  return (
    <>
      <Section title={t("guardians.be_one")}>
        <p>{t("guardians.be_one_text")}</p>
        {code && <p class="id">{code}</p>}
        {code && <HandOut text={`${code}\n`} file="me.guardian" main={false} />}
      </Section>
      <Section title={t("guardians.kept")}>
        {kept.length === 0 ? (
          <p>{t("guardians.kept_none")}</p>
        ) : (
          <ul class="list">
            {kept.map((one) => (
              <li key={one.share}>{t("guardians.kept_for", { name: one.for })}</li>
            ))}
          </ul>
        )}
        <details>
          <summary>{t("guardians.accept")}</summary>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              void accept.run(async () => {
                const now = await client.acceptShare(share, label);
                setShare("");
                setLabel("");
                return now;
              });
            }}
          >
            <Bring name="share" label={t("guardians.share_text")} text={share} set={setShare} fits={(text) => text.startsWith("trust-commons guardian's share")} />
            <Field name="share-label" label={t("guardians.share_for")} value={label} set={setLabel} />
            <button disabled={!share.trim() || !label.trim() || accept.busy}>{t("guardians.keep")}</button>
          </form>
        </details>
        {accept.value && <Notice kind="good" text={t("guardians.accepted")} />}
        {(accept.trouble ?? shares.trouble) && <Told trouble={(accept.trouble ?? shares.trouble)!} />}
      </Section>
      {kept.length > 0 && <Answer />}
    </>
  );
}

function Answer() {
  const [source, setSource] = useState("");
  const [label, setLabel] = useState("");
  const [talked, setTalked] = useState(false);
  const plea = useAct<Plea>();
  const answer = useAct<{ approval: string | null }>();
  const bring = (text: string) => {
    setSource(text);
    setTalked(false);
    answer.clear();
    if (text.trim()) void plea.run(() => client.readPlea(text)).then((told) => setLabel(told?.shares[0] ?? ""));
    else plea.clear();
  };
  const until = Math.floor(Date.now() / 1000) + APPROVAL_DAYS * DAY;
  const { value } = plea;
  return (
    <Section title={t("guardians.asked")}>
      <p>{t("guardians.asked_text")}</p>
      <Bring name="plea" label={t("guardians.plea")} text={source} set={bring} fits={(text) => text.startsWith("trust-commons request for approval")} />
      {plea.trouble && <Told trouble={plea.trouble} />}
      {value && !answer.value && (
        <>
          <p class="number" data-number={value.number}>
            {value.number}
          </p>
          <p>{t("guardians.compare", { time: time(value.at) })}</p>
          {value.refused && <Notice kind="stop" text={t("guardians.refused_before")} />}
          {value.shares.length === 0 && <Notice kind="warn" text={t("guardians.no_share")} />}
          {value.shares.length > 1 && (
            <fieldset>
              <legend>{t("guardians.whose")}</legend>
              {value.shares.map((one) => (
                <label class="check" key={one}>
                  <input type="radio" name="whose" checked={label === one} onChange={() => setLabel(one)} />
                  <span>{one}</span>
                </label>
              ))}
            </fieldset>
          )}
          {value.shares.length > 0 && (
            <>
              <Rows
                rows={[
                  [t("guardians.row_for"), label],
                  [t("guardians.row_lets"), t("guardians.row_lets_text")],
                  [t("terms.until"), time(until)],
                ]}
              />
              <label class="check">
                <input type="checkbox" name="talked" checked={talked} onChange={() => setTalked(!talked)} />
                <span>{t("guardians.talked", { name: label })}</span>
              </label>
              <div class="acts">
                <button class="main" disabled={!talked || answer.busy} onClick={() => void answer.run(async () => ({ approval: await client.approvePlea(source, label, until) }))}>
                  {t("guardians.approve")}
                </button>
                <button class="stop" disabled={answer.busy} onClick={() => void answer.run(async () => (await client.refusePlea(source), { approval: null }))}>
                  {t("guardians.refuse")}
                </button>
              </div>
            </>
          )}
        </>
      )}
      {answer.trouble && <Told trouble={answer.trouble} />}
      {answer.value?.approval && (
        <>
          <Notice kind="good" text={t("guardians.approved", { name: label })} />
          <HandOut text={answer.value.approval} file="approval.txt" />
        </>
      )}
      {answer.value && !answer.value.approval && <Notice kind="plain" text={t("guardians.refused")} />}
    </Section>
  );
}
