// Shapes as coverage: how much of each pixel a shape takes. A patch is {x, y, width, height, data}, `data` a byte a
// pixel, 255 = wholly inside; it lies within the picture. A patch is good until the next one is made.

let scratch = new Uint8Array(0); // one for all patches: a stroke makes hundreds a second

/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ x: number, y: number }} Spot */
/** @typedef {Spot & { r: number }} Dab */
/** @typedef {Spot & Size & { data: Uint8Array }} Patch */

/**
 * @param {number} left
 * @param {number} top
 * @param {number} right
 * @param {number} bottom
 * @param {Size} size
 * @returns {Patch | null}
 */
function patch(left, top, right, bottom, size) {
  const x = Math.max(0, Math.floor(left)),
    y = Math.max(0, Math.floor(top));
  const width = Math.min(size.width, Math.ceil(right)) - x,
    height = Math.min(size.height, Math.ceil(bottom)) - y;
  if (width <= 0 || height <= 0) return null;
  if (scratch.length < width * height) scratch = new Uint8Array(width * height * 2);
  return { x, y, width, height, data: scratch };
}

/**
 * The brush moved from `a` to `b`, both {x, y, r} in pixels: a line with round ends. `softness` 0..1 is the part of
 * the radius over which it fades.
 * @param {Dab} a
 * @param {Dab} b
 * @param {number} softness
 * @param {Size} size
 */
export function capsule(a, b, softness, size) {
  const most = Math.max(a.r, b.r) + 1;
  const made = patch(
    Math.min(a.x, b.x) - most,
    Math.min(a.y, b.y) - most,
    Math.max(a.x, b.x) + most,
    Math.max(a.y, b.y) + most,
    size,
  );
  if (!made) return null;
  const dx = b.x - a.x,
    dy = b.y - a.y,
    square = dx * dx + dy * dy,
    grows = b.r - a.r;
  for (let row = 0, at = 0; row < made.height; row++) {
    const py = made.y + row + 0.5 - a.y;
    for (let column = 0; column < made.width; column++, at++) {
      const px = made.x + column + 0.5 - a.x;
      let along = square ? (px * dx + py * dy) / square : 0;
      along = Math.min(1, Math.max(0, along));
      const ox = px - along * dx,
        oy = py - along * dy,
        far = ox * ox + oy * oy;
      const radius = a.r + along * grows,
        core = Math.max(0, radius * (1 - softness) - 0.5);
      if (far <= core * core) made.data[at] = 255;
      else if (far >= (radius + 0.5) * (radius + 0.5)) made.data[at] = 0;
      else {
        const part = (radius + 0.5 - Math.sqrt(far)) / (radius + 0.5 - core); // 0 outside .. 1 at the core
        made.data[at] = 255 * (softness ? part * part * (3 - 2 * part) : part);
      }
    }
  }
  return made;
}

/**
 * Takes away what lies near a line, and less the farther it lies, up to `fade` pixels.
 * @param {Patch} made
 * @param {Spot} a
 * @param {Spot} b
 * @param {number} fade
 */
function fadeAlong(made, a, b, fade) {
  const left = Math.max(made.x, Math.floor(Math.min(a.x, b.x) - fade)),
    right = Math.min(made.x + made.width, Math.ceil(Math.max(a.x, b.x) + fade));
  const top = Math.max(made.y, Math.floor(Math.min(a.y, b.y) - fade)),
    bottom = Math.min(made.y + made.height, Math.ceil(Math.max(a.y, b.y) + fade));
  const dx = b.x - a.x,
    dy = b.y - a.y,
    square = dx * dx + dy * dy || 1;
  for (let y = top; y < bottom; y++) {
    const py = y + 0.5 - a.y;
    for (let x = left, at = (y - made.y) * made.width + left - made.x; x < right; x++, at++) {
      if (!made.data[at]) continue;
      const px = x + 0.5 - a.x,
        along = Math.min(1, Math.max(0, (px * dx + py * dy) / square));
      const ox = px - along * dx,
        oy = py - along * dy,
        far = ox * ox + oy * oy;
      if (far >= fade * fade) continue;
      const part = Math.sqrt(far) / fade,
        most = 255 * part * part * (3 - 2 * part);
      if (made.data[at] > most) made.data[at] = most;
    }
  }
}

/**
 * A closed outline filled, its edge smoothed; with `fade` it grows to full over so many pixels inside of the outline.
 * @param {Spot[]} points
 * @param {Size} size
 * @param {number} fade
 */
export function polygon(points, size, fade = 0) {
  const xs = points.map((point) => point.x),
    ys = points.map((point) => point.y);
  const made = patch(Math.min(...xs) - 1, Math.min(...ys) - 1, Math.max(...xs) + 1, Math.max(...ys) + 1, size);
  if (!made) return null;
  const canvas = new OffscreenCanvas(made.width, made.height);
  const ink = canvas.getContext("2d", { willReadFrequently: true });
  ink.translate(-made.x, -made.y);
  ink.beginPath();
  for (const point of points) ink.lineTo(point.x, point.y);
  ink.fill("evenodd");
  const { data } = ink.getImageData(0, 0, made.width, made.height);
  for (let at = 0; at < made.width * made.height; at++) made.data[at] = data[4 * at + 3];
  if (fade < 1) return made;
  const corners = [points[0]]; // as many as so soft an edge can tell apart
  for (const point of points) {
    const { x, y } = corners[corners.length - 1];
    if (Math.hypot(point.x - x, point.y - y) >= fade / 4) corners.push(point);
  }
  corners.forEach((corner, at) => fadeAlong(made, corner, corners[(at + 1) % corners.length], fade));
  return made;
}

/**
 * The unmasked area around a point, up to where the mask is at least half; null on the mask itself.
 * @param {Uint8Array} mask
 * @param {Size} size
 * @param {number} x
 * @param {number} y
 */
export function flood(mask, size, x, y) {
  const { width, height } = size,
    start = Math.floor(y) * width + Math.floor(x);
  if (x < 0 || y < 0 || x >= width || y >= height || mask[start] >= 128) return null;
  const inside = new Uint8Array(width * height),
    stack = [start];
  let left = width,
    right = 0,
    top = height,
    bottom = 0;
  const open = (/** @type {number} */ at) => mask[at] < 128 && !inside[at];
  while (stack.length) {
    // a row at a time: to both its ends, then the rows above and below
    const seed = stack.pop();
    if (!open(seed)) continue;
    const row = Math.floor(seed / width),
      first = row * width;
    let from = seed,
      to = seed;
    while (from > first && open(from - 1)) from--;
    while (to < first + width - 1 && open(to + 1)) to++;
    inside.fill(255, from, to + 1);
    left = Math.min(left, from - first);
    right = Math.max(right, to - first + 1);
    top = Math.min(top, row);
    bottom = Math.max(bottom, row + 1);
    for (const next of [row - 1, row + 1]) {
      if (next < 0 || next >= height) continue;
      const shift = (next - row) * width;
      for (let at = from + shift; at <= to + shift; at++)
        if (open(at) && (at === from + shift || !open(at - 1))) stack.push(at);
    }
  }
  const made = patch(left, top, right, bottom, size);
  for (let line = 0; line < made.height; line++) {
    const at = (made.y + line) * width + made.x;
    made.data.set(inside.subarray(at, at + made.width), line * made.width);
  }
  return made;
}
