// Numbers as squares of grey: templates, shares, stored samples.
import { useEffect, useRef } from "preact/hooks";

/** Draws `values` (0 to 255) as a square field; `side` cells across. */
export function Grey({ values, label, side }: { values: ArrayLike<number>; label: string; side?: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const across = side ?? Math.max(1, Math.ceil(Math.sqrt(values.length)));
    draw(canvas.current, values, across);
  }, [values, side]);
  return <canvas ref={canvas} class="field" role="img" aria-label={label} />;
}

export function draw(canvas: HTMLCanvasElement | null, values: ArrayLike<number>, across: number): void {
  const context = canvas?.getContext("2d");
  if (!canvas || !context) return;
  const down = Math.max(1, Math.ceil(values.length / across));
  canvas.width = across;
  canvas.height = down;
  canvas.style.aspectRatio = `${across} / ${down}`;
  const image = context.createImageData(across, down);
  for (let i = 0; i < values.length; i++) {
    const grey = values[i] ?? 0;
    image.data.set([grey, grey, grey, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** Signed coordinates around zero as greys. */
export function shades(coordinates: number[]): number[] {
  const most = Math.max(1, ...coordinates.map(Math.abs));
  return coordinates.map((value) => Math.round(127 + (127 * value) / most));
}

/** Fresh noise from the browser's own generator, to show what noise looks like. */
export function noise(count: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(count));
}

/** How often each of 16 classes of values occurs, as a small chart. */
export function Spread({ values, most, label }: { values: ArrayLike<number>; most: number; label: string }) {
  const classes = new Array<number>(16).fill(0);
  for (let i = 0; i < values.length; i++) {
    const at = Math.min(15, Math.floor(((values[i] ?? 0) * 16) / most));
    classes[at] = (classes[at] ?? 0) + 1;
  }
  const top = Math.max(1, ...classes);
  return (
    <svg viewBox="0 0 160 48" role="img" aria-label={label} preserveAspectRatio="none" style={{ width: "100%", height: "3rem" }}>
      {classes.map((count, i) => (
        <rect class="dot" key={i} x={i * 10} y={47 - (46 * count) / top} width={9} height={(46 * count) / top} />
      ))}
      <line class="axis" x1="0" x2="160" y1="47.5" y2="47.5" />
    </svg>
  );
}

/** The grey low bytes of a picture of `side` x `side`. */
export async function greyPicture(source: Blob, side: number): Promise<Uint32Array> {
  const bitmap = await createImageBitmap(source);
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  const least = Math.min(bitmap.width, bitmap.height);
  context.drawImage(bitmap, (bitmap.width - least) / 2, (bitmap.height - least) / 2, least, least, 0, 0, side, side);
  bitmap.close();
  const { data } = context.getImageData(0, 0, side, side);
  return Uint32Array.from({ length: side * side }, (_, i) => Math.round(0.299 * data[4 * i]! + 0.587 * data[4 * i + 1]! + 0.114 * data[4 * i + 2]!));
}
