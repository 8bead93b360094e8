// Taking a sample: the camera with guidance, or a photograph. The template stays in the worker; what is told here is that it is there.
import { useEffect, useRef, useState } from "preact/hooks";
import { client, Failed, type Pixels } from "../core/client";
import { asTrouble, roster, settled, touch } from "../core/state";
import type { Decision, Quality, Trouble } from "../core/types";
import { figure, t } from "../strings/i18n";
import { Told, Working, type useAct } from "./basics";

/** The face profile of this commons. */
export function faceProfile(): string {
  return roster.value?.profiles.find((profile) => profile.models.length === 3)?.id ?? "";
}

/** Longest side of a picture that is judged while the camera runs, and of the one that is taken. */
const LOOK = 480;
const TAKE = 1280;
/** So many good looks in a row, and it is taken by itself. */
const STEADY = 3;

function pixelsOf(video: HTMLVideoElement, most: number): Pixels | null {
  const { videoWidth, videoHeight } = video;
  if (!videoWidth || !videoHeight) return null;
  const scale = Math.min(1, most / Math.max(videoWidth, videoHeight));
  const [width, height] = [Math.round(videoWidth * scale), Math.round(videoHeight * scale)];
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) return null;
  context.drawImage(video, 0, 0, width, height);
  return { rgba: new Uint8Array(context.getImageData(0, 0, width, height).data.buffer), width, height };
}

/** A photograph in another format than Rust reads is redrawn by the browser. */
export async function photograph(file: Blob): Promise<Uint8Array> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const plain = (bytes[0] === 0xff && bytes[1] === 0xd8) || (bytes[0] === 0x89 && bytes[1] === 0x50) || bytes[0] === 0x50;
  if (plain) return bytes;
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Failed({ code: "not-a-picture", text: "the browser cannot read this picture", nodes: [] });
  });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  const png = await canvas.convertToBlob({ type: "image/png" });
  return new Uint8Array(await png.arrayBuffer());
}

type Mode = "choose" | "models" | "camera" | "reading" | "taken";

/** `take`: what to do with a picture; by default the worker captures a template and keeps it. */
export function Sample(props: {
  done: (quality: Quality) => void;
  takePixels?: (pixels: Pixels) => Promise<Quality>;
  takePhotograph?: (bytes: Uint8Array, file: Blob) => Promise<Quality>;
  takeVideo?: (video: HTMLVideoElement) => Promise<void>;
}) {
  const [mode, setMode] = useState<Mode>("choose");
  const [part, setPart] = useState(0);
  const [hint, setHint] = useState<{ trouble?: Trouble; good: boolean }>({ good: false });
  const [failed, setFailed] = useState<Trouble | null>(null);
  const [quality, setQuality] = useState<Quality | null>(null);
  const [preview, setPreview] = useState<string | null>(null);
  const video = useRef<HTMLVideoElement>(null);
  const stream = useRef<MediaStream | null>(null);
  const take = useRef(false);

  const stop = () => {
    stream.current?.getTracks().forEach((track) => track.stop());
    stream.current = null;
  };
  useEffect(() => stop, []);
  useEffect(() => () => void (preview && URL.revokeObjectURL(preview)), [preview]);

  const models = async () => {
    if (await client.hasModels()) return;
    setMode("models");
    setPart(0);
    await client.models(setPart);
  };

  const finish = (measured: Quality) => {
    stop();
    setQuality(measured);
    setMode("taken");
    props.done(measured);
  };

  const openCamera = async () => {
    setFailed(null);
    try {
      const media = navigator.mediaDevices;
      if (!media?.getUserMedia) throw new Failed({ code: "no-camera", text: "no camera", nodes: [] });
      stream.current = await media.getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 960 } } }).catch((error: DOMException) => {
        const denied = error.name === "NotAllowedError" || error.name === "SecurityError";
        throw new Failed({ code: denied ? "camera-denied" : "no-camera", text: error.message, nodes: [] });
      });
      await models();
      setHint({ good: false });
      setMode("camera");
    } catch (error) {
      stop();
      setFailed(asTrouble(error));
      setMode("choose");
    }
  };

  // Looks again and again, one look at a time; good ones in a row take the picture.
  useEffect(() => {
    if (mode !== "camera" || !video.current || !stream.current) return;
    const element = video.current;
    let going = true;
    let steady = 0;
    element.srcObject = stream.current;
    void element.play().catch(() => undefined);
    const look = async () => {
      while (going) {
        touch();
        const picture = pixelsOf(element, LOOK);
        if (!picture) {
          await new Promise((done) => setTimeout(done, 100));
          continue;
        }
        try {
          await client.look(picture);
          steady += 1;
          setHint({ good: true });
        } catch (error) {
          steady = 0;
          setHint({ good: false, trouble: asTrouble(error) });
        }
        if (going && (take.current || steady >= STEADY)) {
          take.current = false;
          try {
            const large = pixelsOf(element, TAKE);
            if (large) {
              if (props.takeVideo) await props.takeVideo(element);
              const measured = await (props.takePixels ?? client.capturePixels)(large);
              if (going) finish(measured);
              return;
            }
          } catch (error) {
            steady = 0;
            setHint({ good: false, trouble: asTrouble(error) });
          }
        }
        await new Promise((done) => setTimeout(done, 60));
      }
    };
    void look();
    return () => {
      going = false;
    };
  }, [mode]);

  const chosen = async (file: File | undefined) => {
    if (!file) return;
    setFailed(null);
    try {
      setPreview(URL.createObjectURL(file));
      await models();
      setMode("reading");
      const bytes = await photograph(file);
      finish(await (props.takePhotograph ? props.takePhotograph(bytes, file) : client.capture(bytes)));
    } catch (error) {
      setFailed(asTrouble(error));
      setMode("choose");
    }
  };

  const again = () => {
    setQuality(null);
    setPreview(null);
    setMode("choose");
    void client.forgetSample();
  };

  return (
    <div class="page">
      {preview && mode !== "camera" && (
        <div class="camera">
          <img src={preview} alt={t("sample.photo")} />
        </div>
      )}
      {mode === "choose" && (
        <>
          <div class="acts">
            <button class="main" onClick={openCamera}>
              {t("sample.camera")}
            </button>
          </div>
          <label>
            {t("sample.file")}
            <input type="file" name="photograph" accept="image/*" onChange={(event) => void chosen(event.currentTarget.files?.[0])} />
          </label>
          <p class="soft small">{t("sample.where")}</p>
        </>
      )}
      {mode === "models" && <Working what={t("working.models")} part={part} />}
      {mode === "reading" && <Working what={t("working.capture")} />}
      {mode === "camera" && (
        <>
          <div class="camera">
            <video ref={video} muted playsInline aria-label={t("sample.preview")} />
            <div class={`oval${hint.good ? " good" : ""}`} />
          </div>
          <div class="guide" role="status" aria-live="polite">
            {hint.good ? (
              <strong>{t("sample.good")}</strong>
            ) : hint.trouble ? (
              <>
                <strong>{t(`trouble.${hint.trouble.code}.title`)}</strong>
                <span class="soft">{t(`trouble.${hint.trouble.code}.text`)}</span>
              </>
            ) : (
              <span>{t("sample.looking")}</span>
            )}
          </div>
          <div class="acts">
            <button onClick={() => (take.current = true)}>{t("sample.take")}</button>
            <button
              class="text"
              onClick={() => {
                stop();
                setMode("choose");
              }}
            >
              {t("sample.stop")}
            </button>
          </div>
          <p class="soft small">{t("sample.auto")}</p>
        </>
      )}
      {mode === "taken" && quality && (
        <div class="between">
          <span>
            <span class="sign well" aria-hidden="true">
              ✓
            </span>{" "}
            {t("sample.taken")}{" "}
            <span class="soft small">{t("sample.measured", { pixels: figure(Math.round(quality.eye_distance)), brightness: figure(Math.round(quality.brightness)) })}</span>
          </span>
          <button class="text" onClick={again}>
            {t("sample.retake")}
          </button>
        </div>
      )}
      {failed && <Told trouble={failed} />}
    </div>
  );
}

/** A sample, then the button that has it compared. `words`: of the button, and of what goes on meanwhile. */
export function CompareSample(props: { act: ReturnType<typeof useAct<Decision>>; words: { go: string; working: string }; ask: () => Promise<Decision> }) {
  const [ready, setReady] = useState(false);
  const { act, words } = props;
  const go = async () => {
    touch();
    return settled(await props.ask());
  };
  // A sample serves once, also when what followed went wrong.
  const again = () => {
    act.clear();
    setReady(false);
  };
  return (
    <>
      <Sample done={() => setReady(true)} />
      {ready && (
        <div class="acts">
          <button class="main" disabled={act.busy} onClick={() => void act.run(go)}>
            {words.go}
          </button>
        </div>
      )}
      {act.busy && <Working what={words.working} />}
      {act.trouble && <Told trouble={act.trouble} again={again} />}
    </>
  );
}
