// Where something fits into the window without covering what somebody looks at. No elements.

/** @typedef {{ left: number, top: number, right: number, bottom: number }} Box in pixels of the window */

const MARGIN = 16;
const WIDE = 0.75; // of the window: it stands in the middle

/** @param {Box} one @param {Box} other */
const overlap = (one, other) =>
  Math.max(0, Math.min(one.right, other.right) - Math.max(one.left, other.left)) *
  Math.max(0, Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top));

/**
 * The place that covers least of what is `kept`, then least of what is `quiet`; of several the lowest, then the one
 * nearest to the middle.
 * @param {{ width: number, height: number }} window
 * @param {{ width: number, height: number }} size
 * @param {Box[]} kept
 * @param {Box[]} [quiet]
 * @returns {{ left: number, top: number }}
 */
export function freePlace(window, { width, height }, kept, quiet = []) {
  const middle = (window.width - width) / 2;
  const wide = width > WIDE * window.width;
  const lefts = wide ? [middle] : [middle, MARGIN, window.width - MARGIN - width];
  const tops = [window.height - MARGIN - height, MARGIN];
  for (const one of [...kept, ...quiet]) {
    if (!wide) lefts.push(one.right + MARGIN, one.left - MARGIN - width);
    tops.push(one.top - MARGIN / 2 - height, one.bottom + MARGIN / 2);
  }
  const inside = (/** @type {number} */ at, /** @type {number} */ most) => at >= 0 && at <= Math.max(0, most);
  let best = { left: Math.max(0, middle), top: Math.max(0, window.height - MARGIN - height) };
  let least = [Infinity];
  for (const top of tops.filter((at) => inside(at, window.height - height))) {
    for (const left of lefts.filter((at) => inside(at, window.width - width))) {
      const box = { left, top, right: left + width, bottom: top + height };
      const covered = (/** @type {Box[]} */ boxes) =>
        boxes.reduce((sum, one) => sum + Math.round(overlap(box, one)), 0);
      const cost = [covered(kept), covered(quiet), -top, Math.abs(left - middle)];
      if (!before(cost, least)) continue;
      best = { left, top };
      least = cost;
    }
  }
  return best;
}

/** @param {number[]} one @param {number[]} other */
function before(one, other) {
  const at = one.findIndex((cost, place) => cost !== other[place]);
  return at >= 0 && one[at] < (other[at] ?? Infinity);
}
