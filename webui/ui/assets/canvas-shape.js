// What becomes of a picture whose shape is not the size's: the rules of webui/types/shapes.py, in the picture's own pixels.

/** @typedef {import("./canvas-shapes.js").Size} Size */
/** @typedef {{ x: number, y: number, width: number, height: number }} Box */
/** @typedef {{ how: "stretch" | "crop" | "fill", box: Box }} Fate */

const HOW = /** @type {const} */ (["stretch", "crop", "fill"]); // A1111's 0 to 2
const STEP = 8; // pixels to which sizes are rounded

/**
 * Whether `one` has the proportions of `other` as nearly as whole pixels can.
 * @param {Size} one @param {Size} other
 */
export function sameShape(one, other) {
  const side = (/** @type {number} */ length, /** @type {number} */ along, /** @type {number} */ by) =>
    Math.floor((2 * length * along + by) / (2 * by));
  return (
    one.width === side(one.height, other.width, other.height) ||
    one.height === side(one.width, other.height, other.width)
  );
}

/**
 * How a picture comes to a size of another shape; `box` is what is seen of it, or beside it where it is filled up. Null
 * where the shape is the same, but for what rounding to whole steps makes of it.
 * @param {Size} picture @param {Size} size @param {number} mode
 * @returns {Fate | null}
 */
export function fateOf(picture, size, mode) {
  const how = HOW[mode];
  if (!how || !(picture.width > 0 && picture.height > 0 && size.width > 0 && size.height > 0)) return null;
  const [across, down] = [size.width / picture.width, size.height / picture.height];
  const [x, y] = [STEP / 2 / picture.width, STEP / 2 / picture.height];
  const rounded = across - x <= down + y && down - y <= across + x;
  if (rounded || sameShape(picture, size)) return null;
  const scale = how === "crop" ? Math.max(across, down) : how === "fill" ? Math.min(across, down) : 0;
  const width = scale ? size.width / scale : picture.width,
    height = scale ? size.height / scale : picture.height;
  return { how, box: { x: (picture.width - width) / 2, y: (picture.height - height) / 2, width, height } };
}
