// How often matching errs, and how fast it is on this device.
import { begin, roster } from "../core/state";
import { client } from "../core/client";
import type { Profile } from "../core/types";
import { figure, percent, t } from "../strings/i18n";
import { Det } from "../ui/det";
import { Page, Rows, Section, Told, Working, useAct } from "../ui/basics";

export function Accuracy() {
  const profiles = roster.value?.profiles ?? [];
  return (
    <Page title={t("accuracy.title")} lead={t("accuracy.lead")}>
      <Chart profiles={profiles} />
      {profiles.map((profile) => (
        <Section key={profile.id} title={t("accuracy.profile", { id: profile.id, modality: profile.modality })}>
          <p>{profile.description}</p>
          <Figures profile={profile} />
          <Det profile={profile} />
        </Section>
      ))}
      <Device />
    </Page>
  );
}

function Figures({ profile }: { profile: Profile }) {
  const { fmr, fnmr, data } = profile.accuracy ?? {};
  return (
    <Rows
      rows={[
        [t("accuracy.fmr"), fmr != null ? t("accuracy.fmr_text", { rate: percent(fmr) }) : t("accuracy.none")],
        [t("accuracy.fnmr"), fnmr != null ? t("accuracy.fnmr_text", { rate: percent(fnmr) }) : t("accuracy.none")],
        fmr != null && [t("accuracy.crowd"), t("accuracy.crowd_text", { rate: percent(1 - (1 - fmr) ** 1000) })],
        [t("accuracy.threshold"), profile.threshold],
        !!data && [t("accuracy.data"), data],
      ]}
    />
  );
}

/** Both rates of every profile on one logarithmic axis, labelled where they stand. */
function Chart({ profiles }: { profiles: Profile[] }) {
  const measured = profiles.filter((profile) => profile.accuracy?.fmr != null && profile.accuracy.fnmr != null);
  if (measured.length === 0) return null;
  const [left, right, line] = [120, 600, 44];
  const x = (rate: number) => left + ((Math.log10(Math.max(1e-6, rate)) + 6) / 6) * (right - left);
  const height = 40 + line * measured.length;
  return (
    <figure>
      <svg viewBox={`0 0 640 ${height}`} role="img" aria-label={t("accuracy.chart")}>
        {[1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1].map((rate) => (
          <g key={rate}>
            <line class="axis" x1={x(rate)} x2={x(rate)} y1="6" y2={height - 26} />
            <text x={x(rate)} y={height - 8} text-anchor="middle">
              {rate * 100 >= 1 ? `${rate * 100}%` : `${(rate * 100).toFixed(Math.max(0, -Math.log10(rate) - 2))}%`}
            </text>
          </g>
        ))}
        {measured.map((profile, i) => {
          const [fmr, fnmr] = [profile.accuracy!.fmr!, profile.accuracy!.fnmr!];
          const y = 24 + line * i;
          return (
            <g key={profile.id}>
              <text class="strong" x="0" y={y + 5}>
                {profile.id}
              </text>
              <circle class="dot" cx={x(fmr)} cy={y} r="5" />
              <circle class="dot open" cx={x(fnmr)} cy={y} r="5" />
              {i === 0 && (
                <>
                  <text x={x(fmr) + 10} y={y + 5}>{t("accuracy.fmr")}</text>
                  <text x={x(fnmr) + 10} y={y + 5}>{t("accuracy.fnmr")}</text>
                </>
              )}
            </g>
          );
        })}
      </svg>
      <figcaption>
        {t("accuracy.chart")} {t("accuracy.source")}.
      </figcaption>
    </figure>
  );
}

function Device() {
  const act = useAct<{ capture: number; shares: number }>();
  const sample = begin.value?.samples[0];
  if (!sample) return null;
  const measure = async () => {
    await client.models();
    const photo = new Uint8Array(await (await fetch(`/samples/${sample}`)).arrayBuffer());
    await client.showTemplate(photo);
    const before = performance.now();
    const shown = await client.showTemplate(photo);
    const between = performance.now();
    await client.showShares(Uint32Array.from(shown.coordinates, (value) => value >>> 0));
    return { capture: between - before, shares: performance.now() - between };
  };
  return (
    <Section title={t("accuracy.device")}>
      <p class="soft">{t("accuracy.device_text")}</p>
      <div class="acts">
        <button disabled={act.busy} onClick={() => void act.run(measure)}>
          {t("accuracy.run")}
        </button>
      </div>
      {act.busy && <Working what={t("working.capture")} />}
      {act.trouble && <Told trouble={act.trouble} />}
      {act.value && (
        <Rows
          rows={[
            [t("accuracy.capture"), t("accuracy.ms", { ms: figure(Math.round(act.value.capture)) })],
            [t("accuracy.shares"), t("accuracy.ms", { ms: figure(Math.round(act.value.shares)) })],
          ]}
        />
      )}
    </Section>
  );
}
