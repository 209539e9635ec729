// The frame beyond the picture (outpainting): how far it reaches over each side, and what stands there until it is painted.
// A frame is {left, top, right, bottom} in the picture's pixels; a negative side crops.

/** @typedef {import("./canvas-shapes.js").Size} Size */
/** @typedef {CanvasImageSource & Size} Picture */
/** @typedef {OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D} Ink */
/** @typedef {(ink: Ink, picture: Picture, frame: Frame) => void} Fill */
/** @typedef {{ left: number, top: number, right: number, bottom: number }} Frame */

export const LONGEST = 4096; // pixels of a picture's or a frame's longer side
export const SIDES = /** @type {const} */ (["left", "top", "right", "bottom"]);
/** @type {Record<keyof Frame, keyof Frame>} */
const OPPOSITE = { left: "right", right: "left", top: "bottom", bottom: "top" };
const STEP = 8;
const LEAST = 64;
/** @type {Readonly<Frame>} */
export const NONE = Object.freeze({ left: 0, top: 0, right: 0, bottom: 0 });
const SEAM = 8; // pixels of the old picture that are masked too, so that old and new meet

/** @type {(a: Frame, b: Frame) => boolean} */
export const same = (a, b) => SIDES.every((side) => a[side] === b[side]);
/** @type {(picture: Size, frame: Frame) => Size} */
export const sizeOf = (picture, frame) => ({
  width: picture.width + frame.left + frame.right,
  height: picture.height + frame.top + frame.bottom,
});

/**
 * `wanted` in steps of 8, and no larger or smaller than a frame may be; `limited` says that it was cut back.
 * @param {Partial<Record<keyof Frame, number | string>>} wanted
 * @param {Frame} frame
 * @param {Size} picture
 */
export function allowed(wanted, frame, picture) {
  const made = { ...frame };
  let limited = false;
  for (const side of SIDES) {
    if (!(side in wanted)) continue;
    const opposite = OPPOSITE[side];
    const length = (side === "left" || side === "right" ? picture.width : picture.height) + made[opposite];
    const most = Math.max(0, Math.floor((LONGEST - length) / STEP) * STEP);
    const least = -Math.max(0, Math.floor((length - LEAST) / STEP) * STEP);
    const asked = Math.round((Number(wanted[side]) || 0) / STEP) * STEP;
    made[side] = Math.min(most, Math.max(least, asked)) || 0;
    if (made[side] !== asked) limited = true;
  }
  return { frame: made, limited };
}

/**
 * Layers on another frame: what is new is masked, and a seam of what was there before.
 * @param {import("./canvas-layers.js").Layers} layers
 * @param {Frame} from
 * @param {Frame} to
 */
export function reframed(layers, from, to) {
  const dx = to.left - from.left,
    dy = to.top - from.top;
  const width = layers.width + dx + to.right - from.right,
    height = layers.height + dy + to.bottom - from.bottom;
  const made = layers.moved(dx, dy, width, height);
  const grows = { left: dx > 0, top: dy > 0, right: to.right > from.right, bottom: to.bottom > from.bottom };
  /** @type {(x: number, y: number, wide: number, high: number) => void} */
  const fill = (x, y, wide, high) => {
    for (let row = Math.max(0, y); row < Math.min(height, y + high); row++)
      made.mask.fill(255, row * width + Math.max(0, x), row * width + Math.max(0, Math.min(width, x + wide)));
  };
  if (grows.left) fill(dx, dy, SEAM, layers.height);
  if (grows.right) fill(dx + layers.width - SEAM, dy, SEAM, layers.height);
  if (grows.top) fill(dx, dy, layers.width, SEAM);
  if (grows.bottom) fill(dx, dy + layers.height - SEAM, layers.width, SEAM);
  return made;
}

// --- What stands in the new area ---

/** @type {Fill} */
function mirrored(ink, picture, frame) {
  const { width, height } = picture,
    size = sizeOf(picture, frame);
  for (let i = -Math.ceil(Math.max(0, frame.left) / width); i * width < size.width - frame.left; i++) {
    for (let j = -Math.ceil(Math.max(0, frame.top) / height); j * height < size.height - frame.top; j++) {
      ink.save();
      ink.translate(frame.left + (i + (i & 1)) * width, frame.top + (j + (j & 1)) * height);
      ink.scale(i & 1 ? -1 : 1, j & 1 ? -1 : 1);
      ink.drawImage(picture, 0, 0);
      ink.restore();
    }
  }
}

/**
 * The colours of the edge drawn outwards; along the edge they are averaged over some pixels, so that it does not streak.
 * @type {Fill}
 */
function smeared(ink, picture, frame) {
  const { width, height } = picture,
    { left, top } = frame,
    size = sizeOf(picture, frame);
  const thick = Math.min(8, width, height),
    right = size.width - left - width,
    bottom = size.height - top - height;
  /** @type {(x: number, y: number, wide: number, high: number, columns: number, rows: number, toX: number, toY: number, toWide: number, toHigh: number) => void} */
  const strip = (x, y, wide, high, columns, rows, toX, toY, toWide, toHigh) => {
    if (toWide <= 0 || toHigh <= 0) return;
    const small = document.createElement("canvas");
    small.width = Math.max(1, Math.round(columns));
    small.height = Math.max(1, Math.round(rows));
    small.getContext("2d").drawImage(picture, x, y, wide, high, 0, 0, small.width, small.height);
    ink.drawImage(small, toX, toY, toWide, toHigh);
  };
  const [farX, farY] = [left + width, top + height],
    [lastX, lastY] = [width - thick, height - thick];
  strip(0, 0, thick, height, 1, height / 16, 0, top, left, height);
  strip(lastX, 0, thick, height, 1, height / 16, farX, top, right, height);
  strip(0, 0, width, thick, width / 16, 1, left, 0, width, top);
  strip(0, lastY, width, thick, width / 16, 1, left, farY, width, bottom);
  strip(0, 0, thick, thick, 1, 1, 0, 0, left, top);
  strip(lastX, 0, thick, thick, 1, 1, farX, 0, right, top);
  strip(0, lastY, thick, thick, 1, 1, 0, farY, left, bottom);
  strip(lastX, lastY, thick, thick, 1, 1, farX, farY, right, bottom);
}

/** @type {Fill} */
function speckled(ink, picture, frame) {
  smeared(ink, picture, frame);
  const tile = document.createElement("canvas");
  tile.width = tile.height = 256;
  const noise = new ImageData(256, 256),
    words = new Uint32Array(noise.data.buffer);
  for (let at = 0; at < words.length; at++) words[at] = (0xb0000000 | (Math.random() * 0x1000000)) >>> 0; // over the colours, not instead
  tile.getContext("2d").putImageData(noise, 0, 0);
  const size = sizeOf(picture, frame);
  ink.fillStyle = ink.createPattern(tile, "repeat");
  ink.fillRect(0, 0, size.width, size.height);
}

/** @type {Record<string, Fill>} */
const FILLS = { edge: smeared, mirror: mirrored, noise: speckled };

/**
 * The picture in its frame on white, as a canvas; the picture itself where there is nothing to add.
 * @param {Picture} picture
 * @param {Frame} frame
 * @param {string} fill
 * @param {boolean} transparent
 */
export function ground(picture, frame, fill, transparent) {
  if (same(frame, NONE) && !transparent) return picture;
  const canvas = document.createElement("canvas"),
    size = sizeOf(picture, frame);
  canvas.width = size.width;
  canvas.height = size.height;
  const ink = canvas.getContext("2d");
  ink.fillStyle = "#fff";
  ink.fillRect(0, 0, size.width, size.height);
  if (SIDES.some((side) => frame[side] > 0)) FILLS[fill](ink, picture, frame);
  ink.fillStyle = "#fff";
  if (transparent) ink.fillRect(frame.left, frame.top, picture.width, picture.height);
  ink.drawImage(picture, frame.left, frame.top);
  return canvas;
}
