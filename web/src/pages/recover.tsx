// A lost device: a new one asks guardians, waits, and takes its place. The old one, if somebody has it, sees that and can say no.
import { useEffect, useState } from "preact/hooks";
import { client } from "../core/client";
import { createKey, device, keep, keyFile, member, refresh, settled, touch } from "../core/state";
import type { Approvals, Decision, Finished, Recovery, RecoveryStatus, Started } from "../core/types";
import { has, t, time } from "../strings/i18n";
import { Notice, Page, Rows, Section, Told, Working, useAct } from "../ui/basics";
import { Bring, Files, HandOut } from "../ui/bring";
import { NewPassphrase } from "../ui/passphrase";
import { Decided } from "../ui/proof";
import { Sample } from "../ui/sample";
import { Unlock } from "../ui/gate";

/** Between two looks at a recovery that waits. */
const LOOK_MS = 4_000;

/** Somebody asks to become this member on another device: the one screen that must not be missed. */
export function Recovering({ recovery }: { recovery: Recovery }) {
  const act = useAct<Decision>();
  return (
    <Notice kind="stop" title={t("guardians.recovering")}>
      <p>{t("guardians.recovering_text", { count: recovery.approvals, since: time(recovery.since), opens: time(recovery.opens_at) })}</p>
      <p>{t("guardians.their_number", { number: recovery.number })}</p>
      {recovery.can_veto ? (
        <div class="acts">
          <button class="stop" disabled={act.busy} onClick={() => void act.run(async () => settled(await client.veto(recovery.recovery)))}>
            {t("guardians.veto")}
          </button>
        </div>
      ) : (
        <p>{t("guardians.no_veto")}</p>
      )}
      {act.busy && <Working what={t("working.change")} />}
      {act.trouble && <Told trouble={act.trouble} />}
    </Notice>
  );
}

export function Recover() {
  const status = useAct<RecoveryStatus | null>();
  const [known, setKnown] = useState<RecoveryStatus | null>(null);
  const [begun, setBegun] = useState<Started | null>(null);
  const finish = useAct<Finished>();
  const look = () => status.run(client.recoveryStatus).then((told) => told && setKnown(told));
  useEffect(() => {
    if (device.value) void look();
  }, [device.value]);
  const waits = known?.mine?.state === "waiting";
  useEffect(() => {
    if (!waits || finish.value) return;
    const timer = setInterval(() => (touch(), void look()), LOOK_MS);
    return () => clearInterval(timer);
  }, [waits, finish.value]);

  if (keyFile.value && !device.value) return <Unlock />;
  if (finish.value) return <Back finished={finish.value} />;
  if (known?.mine && known.mine.state !== "over" && known.mine.state !== "vetoed") {
    const done = async () => {
      const told = await client.finishRecovery();
      if (told.decision) await keep(told.decision.receipt);
      await refresh().catch(() => undefined);
      return told;
    };
    return (
      <Page title={t(known.ready ? "recover.ready" : waits ? "recover.waits" : "recover.finishing")}>
        <Waits status={known} />
        {begun && <Decided decision={begun.decision} />}
        <div class="acts">
          <button class="main" disabled={finish.busy || (waits && !known.ready)} onClick={() => void finish.run(done)}>
            {t("recover.finish")}
          </button>
        </div>
        {finish.busy && <Working what={t("working.recover")} />}
        {finish.trouble && <Told trouble={finish.trouble} />}
        {status.trouble && <Told trouble={status.trouble} />}
      </Page>
    );
  }
  if (device.value && member.value) {
    return (
      <Page title={t("recover.title")} lead={t("recover.lead")}>
        <Notice kind="plain" text={t("recover.already")} />
        <div class="acts">
          <a class="button main" href="#/guardians">
            {t("nav.guardians")}
          </a>
        </div>
      </Page>
    );
  }
  return (
    <Page title={t("recover.title")} lead={t("recover.lead")}>
      {known?.mine && <Notice kind="warn" text={t(`recover.${known.mine.state}`)} />}
      {!device.value ? <Key /> : <Ask />}
      {device.value && <Start begun={(told) => (setBegun(told), void look())} />}
    </Page>
  );
}

function Waits({ status }: { status: RecoveryStatus }) {
  const mine = status.mine!;
  const [now, setNow] = useState(() => Math.floor(Date.now() / 1000));
  useEffect(() => {
    const timer = setInterval(() => setNow(Math.floor(Date.now() / 1000)), 1000);
    return () => clearInterval(timer);
  }, []);
  const left = Math.max(0, mine.opens_at - now);
  const part = Math.min(1, Math.max(0, (now - mine.since) / Math.max(1, mine.opens_at - mine.since)));
  return (
    <>
      {!status.ready && mine.state === "waiting" && (
        <div class="progress">
          <span>{t("recover.left", { left: span(left), time: time(mine.opens_at) })}</span>
          <progress aria-label={t("recover.waits")} value={part} max={1} />
        </div>
      )}
      <p>{t(status.ready ? "recover.ready_text" : "recover.waits_text")}</p>
      {!mine.can_veto && <p class="soft">{t("recover.no_veto")}</p>}
      <Rows
        rows={[
          [t("recover.approved"), t("recover.approved_text", { count: mine.approvals })],
          [t("recover.face"), t(mine.compared ? "recover.face_yes" : "recover.face_no")],
          [t("recover.opens"), time(mine.opens_at)],
          [t("recover.closes"), time(mine.closes_at)],
        ]}
      />
    </>
  );
}

/** "3 days", "4 hours", "50 seconds": the largest unit that says enough. */
function span(seconds: number): string {
  const [unit, size] = seconds >= 2 * 86_400 ? ["days", 86_400] : seconds >= 2 * 3600 ? ["hours", 3600] : seconds >= 120 ? ["minutes", 60] : ["seconds", 1];
  return t(`recover.${unit}`, { count: Math.ceil(seconds / (size as number)) });
}

function Key() {
  const act = useAct<void>();
  return (
    <Section title={t("recover.key")}>
      <p>{t("recover.key_text")}</p>
      <NewPassphrase go={t("recover.key_go")} busy={act.busy} done={(passphrase) => void act.run(() => createKey(passphrase))} />
      {act.busy && <Working what={t("working.key")} />}
      {act.trouble && <Told trouble={act.trouble} />}
    </Section>
  );
}

function Ask() {
  const act = useAct<{ text: string; number: string }>();
  useEffect(() => void act.run(client.plead), []);
  return (
    <Section title={t("recover.ask")}>
      <p>{t("recover.ask_text")}</p>
      {act.value && (
        <>
          <p class="number" data-number={act.value.number}>
            {act.value.number}
          </p>
          <p class="soft small">{t("recover.number")}</p>
          <HandOut text={act.value.text} file="ask.txt" />
        </>
      )}
      {act.trouble && <Told trouble={act.trouble} />}
    </Section>
  );
}

interface Approval {
  name: string;
  text: string;
}

function Start({ begun }: { begun: (told: Started) => void }) {
  const [texts, setTexts] = useState<Approval[]>([]);
  const [pasted, setPasted] = useState("");
  const [ready, setReady] = useState(false);
  const [without, setWithout] = useState(false);
  const read = useAct<Approvals>();
  const act = useAct<Started>();
  const set = (next: Approval[]) => {
    setTexts(next);
    act.clear();
    if (next.length) void read.run(() => client.readApprovals(next.map((one) => one.text)));
    else read.clear();
  };
  const add = (some: Approval[]) => set([...texts, ...some.filter((one) => one.text.trim() && !texts.some((other) => other.text === one.text))]);
  const wrong = act.trouble?.place ?? read.trouble?.place ?? act.value?.place;
  const start = () =>
    act
      .run(async () => {
        touch();
        const told = await client.startRecovery(
          texts.map((one) => one.text),
          !without,
        );
        await keep(told.decision.receipt);
        return told;
      })
      .then((told) => {
        if (told?.decision.outcome.name === "recovery-started") begun(told);
        else setReady(false);
      });
  const fault = act.value?.decision.outcome.fault;
  return (
    <Section title={t("recover.begin")}>
      <p>{t("recover.begin_text")}</p>
      <div class="acts">
        <Files name="approvals" label={t("recover.files")} accept=".txt,text/plain" add={add} />
      </div>
      <details>
        <summary>{t("recover.paste")}</summary>
        <Bring name="approval" label={t("recover.approval")} text={pasted} set={setPasted} fits={(text) => text.startsWith("trust-commons guardian's approval")} />
        <div class="acts">
          <button disabled={!pasted.trim()} onClick={() => (add([{ name: t("recover.pasted", { place: texts.length + 1 }), text: pasted }]), setPasted(""))}>
            {t("guardians.add")}
          </button>
        </div>
      </details>
      <ul class="list">
        {texts.map((one, i) => (
          <li key={one.text}>
            <div class="between">
              <span>
                {wrong === i && (
                  <span class="sign ill" aria-hidden="true">
                    ✕{" "}
                  </span>
                )}
                {one.name}
              </span>
              <button class="text" onClick={() => set(texts.filter((other) => other !== one))}>
                {t("guardians.not_this")}
              </button>
            </div>
          </li>
        ))}
      </ul>
      {read.value && <Notice kind="good" text={t("recover.gathered", { count: read.value.approvals, until: time(read.value.until ?? 0) })} />}
      {read.trouble && <Told trouble={read.trouble} />}
      {read.value && (
        <>
          <h3>{t("recover.your_face")}</h3>
          {!without && <Sample done={() => setReady(true)} />}
          <label class="check">
            <input type="checkbox" name="without" checked={without} onChange={() => setWithout(!without)} />
            <span>{t("recover.without")}</span>
          </label>
          <div class="acts">
            <button class="main" disabled={act.busy || (!ready && !without)} onClick={() => void start()}>
              {t("recover.go")}
            </button>
          </div>
        </>
      )}
      {act.busy && <Working what={t("working.recovery")} />}
      {act.trouble && <Told trouble={act.trouble} />}
      {fault && (
        <Notice kind="warn" title={t("recover.refused")}>
          <p>{has(`recover.fault.${fault}`) ? t(`recover.fault.${fault}`) : fault}</p>
        </Notice>
      )}
    </Section>
  );
}

function Back({ finished }: { finished: Finished }) {
  return (
    <Page title={t("recover.back")}>
      <Notice kind="good" text={t("recover.back_text")} />
      <Rows
        rows={[
          [t("enrol.member"), <span class="id">{finished.member}</span>],
          [t("recover.grants"), t("recover.grants_text", { count: finished.grants })],
          finished.personas !== null && [t("nav.personas"), t(finished.personas ? "recover.personas_yes" : "recover.personas_no")],
        ]}
      />
      {finished.decision && <Decided decision={finished.decision} />}
      <p>{t("recover.next")}</p>
      <div class="acts">
        <a class="button main" href="#/shield">
          {t("shield.down_title")}
        </a>
        <a class="button" href="#/guardians">
          {t("nav.guardians")}
        </a>
      </div>
    </Page>
  );
}
