// The guided tour: six stops, all on this device. What is shown is made by the same functions that split a member's template.
import { useEffect, useRef, useState } from "preact/hooks";
import { client } from "../core/client";
import { begin, commonsName, roster } from "../core/state";
import type { Quality, Shares, Shown } from "../core/types";
import { t } from "../strings/i18n";
import { Notice, Page, Rows, ShieldMark, Told, Working, useAct } from "../ui/basics";
import { Grey, Spread, draw, greyPicture, shades } from "../ui/fields";
import { Sample, faceProfile, photograph } from "../ui/sample";

const STOPS = 6;
/** Side of the small grey picture that is split. */
const SIDE = 64;

interface Face {
  shown: Shown;
  picture: Uint32Array;
}

let kept: Face | null = null;

export function Tour() {
  const [stop, setStop] = useState(1);
  const [face, setFaceState] = useState<Face | null>(kept);
  const setFace = (next: Face) => setFaceState((kept = next));
  const go = (to: number) => {
    setStop(to);
    scrollTo(0, 0);
    requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus());
  };
  const Stop = [One, Two, Three, Four, Five, Six][stop - 1] ?? One;
  return (
    <Page title={t(`tour.t${stop}`)} lead={stop === 1 ? t("tour.lead") : undefined} wide>
      <p class="soft noprint">{t("tour.stop", { stop, of: STOPS })}</p>
      <Stop face={face} setFace={setFace} />
      <div class="acts">
        {stop > 1 && <button onClick={() => go(stop - 1)}>{t("do.back")}</button>}
        {stop < STOPS && (
          <button class="main" disabled={!face && stop < 4} onClick={() => go(stop + 1)}>
            {t("do.next")}
          </button>
        )}
      </div>
    </Page>
  );
}

interface StopProps {
  face: Face | null;
  setFace: (face: Face) => void;
}

function One({ face, setFace }: StopProps) {
  const [own, setOwn] = useState(false);
  const [picked, setPicked] = useState("");
  const [part, setPart] = useState<number | null>(0);
  const act = useAct<Face>();
  const samples = begin.value?.samples ?? [];
  const grey = useRef<Uint32Array>(new Uint32Array(SIDE * SIDE));
  const pick = (name: string) => {
    setPicked(name);
    void act.run(async () => {
      await client.models(setPart);
      setPart(null);
      const blob = await (await fetch(`/samples/${name}`)).blob();
      const made = { shown: await client.showTemplate(await photograph(blob)), picture: await greyPicture(blob, SIDE) };
      setFace(made);
      return made;
    });
  };
  return (
    <>
      <p>{t("tour.t1_text", { count: roster.value?.profiles.find((profile) => profile.id === faceProfile())?.values ?? 512 })}</p>
      <div class="split">
        <div class="page">
          {samples.length > 0 ? (
            <figure>
              <div class="faces" role="group" aria-label={t("tour.samples")}>
                {samples.map((name: string) => (
                  <button key={name} aria-pressed={picked === name} aria-label={`${t("tour.samples")} ${name.replace(/\.\w+$/, "")}`} disabled={act.busy} onClick={() => pick(name)}>
                    <img src={`/samples/${name}`} alt="" loading="lazy" />
                  </button>
                ))}
              </div>
              <figcaption>{t("tour.strangers")}</figcaption>
            </figure>
          ) : (
            <p>{t("tour.no_samples")}</p>
          )}
          {!own && (
            <div class="acts">
              <button onClick={() => setOwn(true)}>{t("tour.own")}</button>
            </div>
          )}
          {own && (
            <Sample
              done={() => undefined}
              takeVideo={async (video) => {
                grey.current = await greyPicture(await snapshot(video), SIDE);
              }}
              takePixels={async (pixels) => show(await client.showTemplateOfPixels(pixels), grey.current, setFace)}
              takePhotograph={async (bytes, file) => show(await client.showTemplate(bytes), await greyPicture(file, SIDE), setFace)}
            />
          )}
          {act.busy && <Working what={t(part === null ? "working.capture" : "working.models")} part={part} />}
          {act.trouble && <Told trouble={act.trouble} />}
        </div>
        {face && (
          <figure>
            <Grey values={shades(face.shown.coordinates)} label={t("tour.t1_numbers", { count: face.shown.coordinates.length })} side={32} />
            <figcaption>{t("tour.t1_numbers", { count: face.shown.coordinates.length })}</figcaption>
            <p class="id soft" aria-hidden="true">
              {face.shown.coordinates.slice(0, 40).join(" ")} …
            </p>
          </figure>
        )}
      </div>
      {face && <Notice kind="warn" text={t("tour.t1_warn")} />}
    </>
  );
}

function show(shown: Shown, picture: Uint32Array, setFace: (face: Face) => void): Quality {
  setFace({ shown, picture });
  return shown.quality;
}

async function snapshot(video: HTMLVideoElement): Promise<Blob> {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

function Two({ face }: StopProps) {
  const act = useAct<Shares>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (face) void act.run(() => client.showShares(face.picture));
  }, [face, round]);
  if (!face) return null;
  const shared = act.value ?? lastShares;
  if (act.value) lastShares = act.value;
  const two = shared ? shared.shares[0].map((value, i) => (value + (shared.shares[1][i] ?? 0)) & 0xff) : [];
  return (
    <>
      <p>{t("tour.t2_text")}</p>
      <h2>{t("tour.t2_face")}</h2>
      {shared && <Dissolve from={face.picture} shares={shared.shares} round={round} />}
      {shared && (
        <div class="fields" style={{ maxWidth: "24rem", gridTemplateColumns: "1fr 1fr" }}>
          <figure>
            <Grey values={two} label={t("tour.t2_two")} side={SIDE} />
            <figcaption>{t("tour.t2_two")}</figcaption>
          </figure>
          <figure>
            <Grey values={shared.values} label={t("tour.t2_sum")} side={SIDE} />
            <figcaption>{t("tour.t2_sum")}</figcaption>
          </figure>
        </div>
      )}
      <p class="soft small">{t("tour.t2_caption")}</p>
      <div class="acts">
        <button disabled={act.busy} onClick={() => setRound(round + 1)}>
          {t("tour.t2_play")}
        </button>
      </div>
      <h2>{t("tour.t1_numbers", { count: face.shown.coordinates.length })}</h2>
      <div class="fields">
        <figure>
          <Grey values={shades(face.shown.coordinates)} label={t("tour.t2_original")} side={32} />
          <figcaption>{t("tour.t2_original")}</figcaption>
        </figure>
        {face.shown.shared.shares.map((share, i) => (
          <figure key={i}>
            <Grey values={share} label={t("tour.t2_part", { part: i + 1 })} side={32} />
            <figcaption>{t("tour.t2_part", { part: i + 1 })}</figcaption>
          </figure>
        ))}
      </div>
    </>
  );
}

let lastShares: Shares | null = null;

/** The picture breaks up, grain by grain, into its three parts; at once for who wants less motion. */
function Dissolve({ from, shares, round }: { from: Uint32Array; shares: number[][]; round: number }) {
  const canvases = [useRef<HTMLCanvasElement>(null), useRef<HTMLCanvasElement>(null), useRef<HTMLCanvasElement>(null)];
  useEffect(() => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const order = Uint16Array.from({ length: from.length }, () => Math.random() * 65536);
    const begun = performance.now();
    let frame = 0;
    const step = (now: number) => {
      const part = still ? 1 : Math.min(1, Math.max(0, (now - begun - 400) / 1600));
      canvases.forEach((canvas, which) => {
        const share = shares[which] ?? [];
        draw(canvas.current, Array.from(from, (value, i) => ((order[i] ?? 0) < part * 65536 ? (share[i] ?? 0) : value)), SIDE);
      });
      if (part < 1) frame = requestAnimationFrame(step);
    };
    frame = requestAnimationFrame(step);
    return () => cancelAnimationFrame(frame);
  }, [shares, round]);
  return (
    <div class="fields" role="group" aria-label={t("tour.dissolve")}>
      <figure>
        <Grey values={from} label={t("tour.t2_original")} side={SIDE} />
        <figcaption>{t("tour.t2_original")}</figcaption>
      </figure>
      {canvases.map((canvas, i) => (
        <figure key={i}>
          <canvas ref={canvas} class="field" role="img" aria-label={t("tour.t2_part", { part: i + 1 })} />
          <figcaption>{t("tour.t2_part", { part: i + 1 })}</figcaption>
        </figure>
      ))}
    </div>
  );
}

function Three({ face }: StopProps) {
  if (!face) return null;
  return (
    <>
      <p>{t("tour.t3_text")}</p>
      <div class="nodes">
        {face.shown.shared.shares.map((share, i) => (
          <div key={i} class="well">
            <h2>{roster.value?.nodes[i]?.operator ?? t("node.name", { node: i + 1 })}</h2>
            <p>{t("tour.t3_thief")}</p>
            <Grey values={share} label={t("tour.t2_part", { part: i + 1 })} side={32} />
            <Spread values={share} most={256} label={t("inspect.spread")} />
            <p class="soft small">{t("tour.t3_flat")}</p>
          </div>
        ))}
      </div>
      <Notice kind="warn" text={t("tour.t3_collude")} />
    </>
  );
}

function Four() {
  const [answer, setAnswer] = useState<boolean | null>(null);
  const now = Math.floor(Date.now() / 1000);
  return (
    <>
      <p>{t("tour.t4_text")}</p>
      <div class="tourcard">
        <h2>{t("requests.asks", { party: t("tour.t4_example_party") })}</h2>
        <Rows
          rows={[
            [t("terms.for"), t("tour.t4_example_for")],
            [t("terms.asked"), t("terms.membership")],
            [t("terms.not"), t("terms.not_text")],
            [t("terms.often"), t("terms.uses", { count: 1 })],
            [t("terms.until"), new Date((now + 86_400) * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" })],
            [t("terms.back"), t("terms.back_text")],
          ]}
        />
        <div class="acts">
          <button class="main" aria-pressed={answer === true} onClick={() => setAnswer(true)}>
            {t("requests.approve")}
          </button>
          <button aria-pressed={answer === false} onClick={() => setAnswer(false)}>
            {t("requests.refuse")}
          </button>
        </div>
      </div>
      {answer !== null && <Notice kind="good" text={t(answer ? "tour.t4_yes" : "tour.t4_no")} />}
    </>
  );
}

function Five() {
  const [up, setUp] = useState(false);
  return (
    <>
      <p>{t("tour.t5_text")}</p>
      <p role="status">{t(up ? "tour.t5_after" : "tour.t5_before")}</p>
      <svg viewBox="0 0 480 200" role="img" aria-label={t(up ? "tour.t5_after" : "tour.t5_before")} style={{ maxWidth: "34rem", width: "100%" }}>
        <circle class="dot open" cx="80" cy="100" r="34" />
        <text class="strong" x="80" y="105" text-anchor="middle">
          {t("home.yours")}
        </text>
        {[40, 100, 160].map((y, i) => (
          <g key={y}>
            <line class="axis" x1={up ? 150 : 114} y1={up ? 100 + (y - 100) * 0.35 : 100 + (y - 100) * 0.2} x2="300" y2={y} stroke-dasharray={up ? "2 6" : undefined} />
            <circle class={`dot${up ? " open" : ""}`} cx="306" cy={y} r="6" />
            <text class="strong" x="322" y={y + 5}>
              {t(`tour.t5_party_${i + 1}`)}
            </text>
            <text x="400" y={y + 5}>
              {t(up ? "tour.t5_shut" : "tour.t5_open")}
            </text>
          </g>
        ))}
        {up && <path d="M134 50 Q176 100 134 150" fill="none" stroke="var(--accent)" stroke-width="4" />}
      </svg>
      <div class="acts">
        <button class={up ? "" : "main"} onClick={() => setUp(!up)}>
          <ShieldMark />
          {t(up ? "tour.t5_lower" : "tour.t5_press")}
        </button>
      </div>
    </>
  );
}

function Six() {
  return (
    <>
      <p class="noprint">{t("tour.t6_text")}</p>
      <div class="tourcard">
        <h2>{commonsName.value}</h2>
        <ol>
          {[1, 2, 3, 4, 5, 6, 7].map((line) => (
            <li key={line}>{t(`tour.card_${line}`)}</li>
          ))}
        </ol>
        <p class="soft small">
          {t("tour.card_where")}: <span class="id">{roster.value?.digest.slice(0, 32)}</span>
        </p>
      </div>
      <div class="acts">
        <button onClick={() => print()}>{t("do.print")}</button>
        <a class="button main" href="#/enrol">
          {t("home.enrol")}
        </a>
      </div>
    </>
  );
}
