// The DET curve of a profile: both errors at every threshold, on logarithmic axes, with the operating point named where it stands. The numbers are
// those of `commons evaluate --json`, kept beside this file; the same stands below as a table.
import { useEffect, useState } from "preact/hooks";
import type { Profile } from "../core/types";
import { percent, t } from "../strings/i18n";

interface Point {
  score: number;
  fmr: number;
  fnmr: number;
}

export interface Curve {
  profile: string;
  /** On what, and when. */
  data: string;
  date: string;
  eer: number;
  det: Point[];
}

/** By profile; loaded when the page is opened. */
const CURVES: Record<string, () => Promise<{ default: Curve }>> = {
  "face-512": () => import("../data/face-512.det.json"),
  "iris-12800": () => import("../data/iris-12800.det.json"),
};

const [LEFT, RIGHT, TOP, BOTTOM] = [76, 620, 44, 400];
/** Room that a label needs. */
const LABEL = 300;
/** Points that the table shows. */
const ROWS = 12;

export function Det({ profile }: { profile: Profile }) {
  const [curve, setCurve] = useState<Curve | null>(null);
  useEffect(() => void CURVES[profile.id]?.().then(({ default: loaded }) => setCurve(loaded)), [profile.id]);
  // A curve of other data than the profile names would mislead.
  if (!curve || curve.data !== profile.accuracy?.data) return null;
  return <Figure curve={curve} />;
}

/** The power of ten below. */
const decade = (rate: number) => Math.floor(Math.log10(rate));

function Figure({ curve }: { curve: Curve }) {
  const points = curve.det;
  const [low, high] = [Math.min(...points.map((point) => decade(point.fmr))), Math.min(...points.map((point) => decade(point.fnmr)))];
  const x = (rate: number) => LEFT + (RIGHT - LEFT) * (1 - Math.log10(rate) / low);
  const y = (rate: number) => TOP + ((BOTTOM - TOP) * Math.log10(rate)) / high;
  const line = points.map((point, i) => `${i ? "L" : "M"}${x(point.fmr).toFixed(1)} ${y(point.fnmr).toFixed(1)}`).join("");
  const here = points.find((point) => point.score === 0);
  const ticks = (least: number) => Array.from({ length: 1 - least }, (_, i) => 10 ** -i);
  // Many decades: every second one is named.
  const named = (rate: number) => -low <= 5 || Math.round(Math.log10(rate)) % 2 === 0;
  const words = here && `${t("accuracy.fmr")} ${percent(here.fmr)}, ${t("accuracy.fnmr")} ${percent(here.fnmr)}`;
  const above = here && place(x(here.fmr), y(here.fnmr), points.map((point) => [x(point.fmr), y(point.fnmr)]));
  const label = `${t("accuracy.det")}. ${words ?? ""}`;
  return (
    <figure class="det">
      <h3>{t("accuracy.det")}</h3>
      <p>{t("accuracy.det_text")}</p>
      <svg viewBox="0 0 640 456" role="img" aria-label={label}>
        {ticks(low).map((rate) => (
          <g key={`x${rate}`}>
            <line class="axis" x1={x(rate)} x2={x(rate)} y1={TOP} y2={BOTTOM} />
            <text x={x(rate)} y={BOTTOM + 22} text-anchor="middle">
              {named(rate) && tick(rate)}
            </text>
          </g>
        ))}
        {ticks(high).map((rate) => (
          <g key={`y${rate}`}>
            <line class="axis" x1={LEFT} x2={RIGHT} y1={y(rate)} y2={y(rate)} />
            <text x={LEFT - 8} y={y(rate) + 5} text-anchor="end">
              {tick(rate)}
            </text>
          </g>
        ))}
        <text class="strong" x={RIGHT} y={BOTTOM + 46} text-anchor="end">
          {t("accuracy.det_x")}
        </text>
        <text class="strong" x="0" y={TOP - 22}>
          {t("accuracy.det_y")}
        </text>
        <path class="curve" d={line} />
        <circle class="dot open" cx={x(curve.eer)} cy={y(curve.eer)} r="4" />
        <text x={x(curve.eer) - 12} y={y(curve.eer) + 20} text-anchor="end">
          {t("accuracy.det_eer", { rate: percent(curve.eer) })}
        </text>
        {here && above && (
          <>
            <circle class="dot" cx={x(here.fmr)} cy={y(here.fnmr)} r="6" />
            <text class="strong" x={above.x} y={above.y - 18} text-anchor={above.anchor}>
              {t("accuracy.det_here")}
            </text>
            <text x={above.x} y={above.y} text-anchor={above.anchor}>
              {words}
            </text>
          </>
        )}
      </svg>
      <figcaption>{t("accuracy.det_source", { data: curve.data, date: curve.date })}</figcaption>
      <details>
        <summary>{t("accuracy.det_table")}</summary>
        <div class="scroll" role="region" tabIndex={0} aria-label={t("accuracy.det_table")}>
          <table>
            <thead>
              <tr>
                <th class="num" scope="col">{t("accuracy.det_threshold")}</th>
                <th class="num" scope="col">{t("accuracy.fmr")}</th>
                <th class="num" scope="col">{t("accuracy.fnmr")}</th>
              </tr>
            </thead>
            <tbody>
              {some(points).map((point) => (
                <tr key={point.score}>
                  <td class="num">{point.score === 0 ? t("accuracy.det_here") : `${point.score > 0 ? "+" : "−"}${Math.abs(point.score)}`}</td>
                  <td class="num">{percent(point.fmr)}</td>
                  <td class="num">{percent(point.fnmr)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

/** Where the words about a point of a falling curve stand: above the curve, where it is empty; beside the point, or over it where there is no room. */
function place(x: number, y: number, curve: [number, number][]): { x: number; y: number; anchor: "start" | "middle" } {
  const beside = x + 12 + LABEL < RIGHT;
  const from = beside ? x : Math.min(x, RIGHT - LABEL / 2) - LABEL / 2;
  const top = Math.min(y, ...curve.filter(([at]) => at > from).map(([, height]) => height));
  return beside ? { x: x + 12, y: top - 10, anchor: "start" } : { x: from + LABEL / 2, y: top - 10, anchor: "middle" };
}

const tick = (rate: number) => (rate >= 0.01 ? `${Math.round(rate * 100)}%` : `${(rate * 100).toFixed(-Math.round(Math.log10(rate)) - 2)}%`);

/** A dozen points along the line, and always the operating point. */
function some(points: Point[]): Point[] {
  const step = Math.max(1, Math.floor(points.length / ROWS));
  return points.filter((point, i) => i % step === 0 || point.score === 0);
}
