// Bringing a text that somebody else made: pasted, from a file, or read as a QR code with the camera. And handing one out the same ways.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { t } from "../strings/i18n";
import { Told, saveFile } from "./basics";

/** Characters that anything brought here may have. */
const MOST = 64 * 1024;

/** `set` gets the text whenever it changes. */
export function Bring(props: { name: string; label: string; text: string; set: (text: string) => void; accept?: string; fits?: (text: string) => boolean }) {
  const [scanning, setScanning] = useState(false);
  return (
    <div class="bring">
      <label>
        {props.label}
        <textarea name={props.name} rows={3} spellcheck={false} autocomplete="off" value={props.text} onInput={(event) => props.set(event.currentTarget.value.slice(0, MOST))} />
      </label>
      <div class="acts">
        <label class="file">
          <span class="button">{t("bring.file")}</span>
          <input
            type="file"
            name={`${props.name}-file`}
            accept={props.accept}
            onChange={(event) => {
              const file = event.currentTarget.files?.[0];
              event.currentTarget.value = "";
              void file?.slice(0, MOST).text().then(props.set);
            }}
          />
        </label>
        <button type="button" onClick={() => setScanning(!scanning)}>
          {t(scanning ? "sample.stop" : "requests.scan")}
        </button>
      </div>
      {scanning && (
        <Scan
          fits={props.fits ?? (() => true)}
          found={(text) => {
            setScanning(false);
            props.set(text);
          }}
        />
      )}
    </div>
  );
}

/** Several files at once, with their names. */
export function Files(props: { name: string; label: string; accept?: string; add: (files: { name: string; text: string }[]) => void }) {
  return (
    <label class="file">
      <span class="button">{props.label}</span>
      <input
        type="file"
        name={props.name}
        multiple
        accept={props.accept}
        onChange={(event) => {
          const files = [...(event.currentTarget.files ?? [])];
          event.currentTarget.value = "";
          void Promise.all(files.map(async (file) => ({ name: file.name.replace(/\.[^.]*$/, ""), text: await file.slice(0, MOST).text() }))).then(props.add);
        }}
      />
    </label>
  );
}

/** Reads QR codes until one fits. */
export function Scan({ fits, found }: { fits: (text: string) => boolean; found: (text: string) => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let going = true;
    let stream: MediaStream | null = null;
    void (async () => {
      try {
        const { default: jsQR } = await import("jsqr");
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
        const element = video.current!;
        element.srcObject = stream;
        await element.play();
        while (going) {
          const [width, height] = [element.videoWidth, element.videoHeight];
          if (width && height) {
            const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
            context.drawImage(element, 0, 0);
            const code = jsQR(context.getImageData(0, 0, width, height).data, width, height);
            if (code && fits(code.data)) return found(code.data);
          }
          await new Promise((next) => setTimeout(next, 200));
        }
      } catch {
        setFailed(true);
      }
    })();
    return () => {
      going = false;
      stream?.getTracks().forEach((track) => track.stop());
    };
  }, []);
  if (failed) return <Told trouble={{ code: "no-camera", text: "", nodes: [] }} />;
  return (
    <>
      <div class="camera">
        <video ref={video} muted playsInline aria-label={t("requests.scanning")} />
      </div>
      <p class="soft small">{t("requests.scanning")}</p>
    </>
  );
}

/** A text for somebody else: to be saved, copied, or shown as a QR code where it is short enough for one. */
export function HandOut({ text, file, type = "text/plain", main = true }: { text: string; file: string; type?: string; main?: boolean }) {
  const [copied, setCopied] = useState(false);
  const [shown, setShown] = useState(false);
  return (
    <div class="bring">
      <div class="acts">
        <button class={main ? "main" : ""} onClick={() => saveFile(file, text, type)}>
          {t("do.save")}
        </button>
        <button
          onClick={() =>
            void navigator.clipboard.writeText(text).then(
              () => setCopied(true),
              () => setShown(true),
            )
          }
        >
          {t(copied ? "do.copied" : "do.copy")}
        </button>
        <button aria-expanded={shown} onClick={() => setShown(!shown)}>
          {t("bring.show")}
        </button>
      </div>
      {shown && <Qr text={text} />}
      {shown && (
        <pre class="handout" tabIndex={0} aria-label={t("bring.text")}>
          {text}
        </pre>
      )}
    </div>
  );
}

/** Characters that a code still holds legibly on a telephone. */
const LEGIBLE = 1200;

/** A QR code, dark on light also in the dark, since scanners want it so. Nothing where the text is too long for one. */
export function Qr({ text, label }: { text: string; label?: string }) {
  const [path, setPath] = useState<{ size: number; d: string } | null>(null);
  const short = text.length <= LEGIBLE;
  useEffect(() => {
    if (!short) return;
    let going = true;
    void import("qrcode-generator").then(({ default: generator }) => {
      const code = generator(0, "M");
      code.addData(text);
      code.make();
      const size = code.getModuleCount();
      let d = "";
      for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) if (code.isDark(y, x)) d += `M${x + 4} ${y + 4}h1v1h-1z`;
      if (going) setPath({ size: size + 8, d });
    });
    return () => {
      going = false;
    };
  }, [text]);
  if (!short || !path) return null;
  return (
    <svg class="qr" viewBox={`0 0 ${path.size} ${path.size}`} role="img" aria-label={label ?? t("bring.qr")} shape-rendering="crispEdges">
      <path class="paper" d={`M0 0h${path.size}v${path.size}h-${path.size}z`} />
      <path class="ink" d={path.d} />
    </svg>
  );
}

/** A persona's mark. The picture is Rust's own; as an image it can run nothing. */
export function Glyph({ svg, words, size = "3.5rem" }: { svg: string; words: string; size?: string }) {
  const url = useMemo(() => `data:image/svg+xml,${encodeURIComponent(svg)}`, [svg]);
  return <img class="glyph" src={url} alt={words} style={{ width: size, height: size }} />;
}
