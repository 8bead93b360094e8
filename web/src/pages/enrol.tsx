// Becoming a member: what one agrees to, a sample, a key; then split, sealed, sent, matched.
import { useState } from "preact/hooks";
import { client } from "../core/client";
import { commonsName, createKey, device, keyFile, roster, settled, touch } from "../core/state";
import type { Decision } from "../core/types";
import { percent, t } from "../strings/i18n";
import { Notice, Page, Rows, Told, Working, saveFile, useAct } from "../ui/basics";
import { NewPassphrase } from "../ui/passphrase";
import { Decided } from "../ui/proof";
import { Sample, faceProfile } from "../ui/sample";
import { Unlock } from "../ui/gate";

export function Enrol() {
  const [step, setStep] = useState(1);
  const [stage, setStage] = useState<"key" | "enrol">("key");
  const act = useAct<Decision>();

  if (keyFile.value && !device.value) return <Unlock />;
  if (act.value) return <Result decision={act.value} again={() => (act.clear(), setStep(2))} />;

  const go = (passphrase: string) =>
    act.run(async () => {
      touch();
      setStage("key");
      if (!device.value) await createKey(passphrase);
      setStage("enrol");
      return settled(await client.enrol(""));
    });

  return (
    <Page title={t("enrol.title")}>
      <p class="soft">{t("enrol.step", { step })}</p>
      {step === 1 && (
        <>
          <h2>{t("enrol.consent")}</h2>
          <Agreement />
          <div class="acts">
            <button class="main" onClick={() => setStep(2)}>
              {t("enrol.agree")}
            </button>
            <a class="button" href="#/rules">
              {t("home.rules")}
            </a>
          </div>
        </>
      )}
      {step === 2 && (
        <>
          <h2>{t("enrol.sample")}</h2>
          <Sample done={() => setStep(3)} />
        </>
      )}
      {step === 3 && (
        <>
          <h2>{t("enrol.key")}</h2>
          {device.value ? (
            <p>{t("enrol.have_key")}</p>
          ) : (
            <p>{t("enrol.key_text")}</p>
          )}
          {device.value ? (
            <div class="acts">
              <button class="main" disabled={act.busy} onClick={() => void go("")}>
                {t("enrol.go")}
              </button>
            </div>
          ) : (
            <NewPassphrase go={t("enrol.go")} busy={act.busy} done={(passphrase) => void go(passphrase)} />
          )}
          {act.busy && <Working what={t(`working.${stage}`)} />}
        </>
      )}
      {act.trouble && <Told trouble={act.trouble} again={act.trouble.code === "no-sample" ? () => (act.clear(), setStep(2)) : undefined} />}
    </Page>
  );
}

function Agreement() {
  const profile = roster.value?.profiles.find((one) => one.id === faceProfile());
  const { fmr, fnmr, data } = profile?.accuracy ?? {};
  return (
    <Rows
      rows={[
        [t("enrol.who"), t("enrol.who_text", { commons: commonsName.value })],
        [t("enrol.what"), t("enrol.what_text", { purpose: "dpv:FraudPreventionAndDetection" })],
        [t("enrol.learn"), t("enrol.learn_text")],
        [t("enrol.learn_not"), t("enrol.learn_not_text")],
        [t("enrol.kept"), t("enrol.kept_text")],
        [t("enrol.back"), t("enrol.back_text")],
        fmr != null && fnmr != null && data ? [t("enrol.accuracy"), t("enrol.accuracy_text", { fmr: percent(fmr), fnmr: percent(fnmr), data })] : null,
      ]}
    />
  );
}

function Result({ decision, again }: { decision: Decision; again: () => void }) {
  const { outcome } = decision;
  const yes = outcome.name === "enrolled";
  const words = yes ? "yes" : outcome.name === "duplicate" ? "no" : "invalid";
  return (
    <Page title={t(`enrol.${words}`)}>
      <Notice kind={yes ? "good" : "warn"} text={t(`enrol.${words}_text`)} />
      {yes && <Rows rows={[[t("enrol.member"), <span class="id">{outcome.member}</span>]]} />}
      <Decided decision={decision} />
      {yes ? (
        <>
          <p>{t("enrol.save_text")}</p>
          <div class="acts">
            <button class="main" onClick={() => keyFile.value && saveFile("me.key", keyFile.value as BlobPart)}>
              {t("enrol.save_key")}
            </button>
            <a class="button" href="#/home">
              {t("nav.home")}
            </a>
            <a class="button" href="#/guardians">
              {t("guardians.name_some")}
            </a>
            <a class="button" href="#/inspect">
              {t("home.inspect")}
            </a>
          </div>
        </>
      ) : (
        <div class="acts">
          <button onClick={again}>{t("do.again")}</button>
          <a class="button" href="#/keys">
            {t("unlock.other")}
          </a>
        </div>
      )}
    </Page>
  );
}
