// Fake camera films for Chromium, made from photographs in PGM: the face in the middle of a grey room.
import { readFileSync, writeFileSync } from "node:fs";

const [WIDTH, HEIGHT] = [640, 480];

export function readPgm(path) {
  const bytes = readFileSync(path);
  const header = /^P5\s+(?:#.*\s+)*(\d+)\s+(\d+)\s+(\d+)\s/.exec(bytes.subarray(0, 100).toString("latin1"));
  const [width, height] = [Number(header[1]), Number(header[2])];
  return { width, height, grey: bytes.subarray(header[0].length) };
}

/** The picture scaled (bilinear) to `high` pixels, its middle at `centre`, times `light`, into `frame`. */
function paint(frame, picture, high, centre, light) {
  const scale = high / picture.height;
  const wide = Math.round(picture.width * scale);
  const left = Math.round(centre - wide / 2);
  const top = Math.round((HEIGHT - high) / 2);
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      const [sx, sy] = [Math.min(picture.width - 1.001, x / scale), Math.min(picture.height - 1.001, y / scale)];
      const [ix, iy] = [Math.floor(sx), Math.floor(sy)];
      const [fx, fy] = [sx - ix, sy - iy];
      const at = (dx, dy) => picture.grey[(iy + dy) * picture.width + ix + dx];
      const value = (at(0, 0) * (1 - fx) + at(1, 0) * fx) * (1 - fy) + (at(0, 1) * (1 - fx) + at(1, 1) * fx) * fy;
      if (left + x >= 0 && left + x < WIDTH) frame[(top + y) * WIDTH + left + x] = Math.round(value * light);
    }
  }
}

/** A film of a few frames. `pictures`: paths of PGM files, side by side. */
export function film(path, pictures, { light = 1 } = {}) {
  const luma = new Uint8Array(WIDTH * HEIGHT).fill(Math.round(118 * light));
  pictures.forEach((name, i) => paint(luma, readPgm(name), 400, (WIDTH * (i + 1)) / (pictures.length + 1), light));
  // Video luma is 16 to 235.
  const y = Buffer.from(luma.map((value) => 16 + (value * 219) / 255));
  const chroma = Buffer.alloc((WIDTH * HEIGHT) / 2, 128);
  const frame = Buffer.concat([Buffer.from("FRAME\n"), y, chroma]);
  writeFileSync(path, Buffer.concat([Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F15:1 Ip A1:1 C420jpeg\n`), ...Array(8).fill(frame)]));
}
