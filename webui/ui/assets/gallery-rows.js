// Rows of about one height that fill the width, as photo apps lay pictures out. Numbers only, no elements.

/** @typedef {{ id: unknown, width: number, height: number, day: string }} Sized */
/**
 * @typedef {{ y: number, height: number, day?: string, from?: number, to?: number, lefts?: number[],
 *   widths?: number[] }} Block
 */

/**
 * `pictures` have width, height and day. Gives the height of it all and its blocks from top to bottom: headings
 * {day, y, height} and rows {y, height, from, to, lefts, widths} of pictures from..to-1. A day begins a new row, and
 * the last row of a day is not stretched. A picture whose id is in `breaks` begins a row too.
 * @param {Sized[]} pictures
 * @param {number} width
 * @param {{ height: number, gap: number, heading: number }} size
 * @param {Set<unknown>} breaks
 */
export function rows(pictures, width, { height, gap, heading }, breaks = new Set()) {
  /** @type {Block[]} */
  const blocks = [];
  const ratio = (/** @type {Sized} */ one) => Math.min(3, Math.max(0.5, one.width / one.height || 1));
  let y = 0,
    day = "",
    from = 0,
    sum = 0;

  const filling = (/** @type {number} */ ratios, /** @type {number} */ number) => (width - gap * (number - 1)) / ratios;

  /** @type {(to: number, full: boolean) => void} */
  function close(to, full) {
    if (to === from) return;
    const filled = filling(sum, to - from);
    const high = Math.round(full ? filled : Math.min(filled, height));
    const lefts = [],
      widths = [];
    let left = 0;
    for (let i = from; i < to; i++) {
      const end = i === to - 1 && full ? width : left + ratio(pictures[i]) * (full ? filled : high);
      lefts.push(Math.round(left));
      widths.push(Math.max(1, Math.round(end) - Math.round(left)));
      left = end + gap;
    }
    blocks.push({ y, height: high, from, to, lefts, widths });
    y += high + gap;
    from = to;
    sum = 0;
  }

  pictures.forEach((one, i) => {
    if (one.day !== day) {
      close(i, false);
      day = one.day;
      blocks.push({ day, y, height: heading });
      y += heading;
    } else if (breaks.has(one.id)) close(i, false);
    const wide = ratio(one),
      number = i - from;
    const withIt = filling(sum + wide, number + 1);
    if (withIt > height) {
      sum += wide;
      return;
    }
    const without = number ? filling(sum, number) : Infinity;
    if (without < height * 1.35 && without / height < height / withIt) {
      // nearer to the wanted height
      close(i, true);
      sum = wide;
    } else {
      sum += wide;
      close(i + 1, true);
    }
  });
  close(pictures.length, false);
  return { blocks, height: y };
}

/**
 * The first block that reaches below `y`: an index, blocks.length where there is none.
 * @param {Block[]} blocks
 * @param {number} y
 */
export function blockAt(blocks, y) {
  let low = 0,
    high = blocks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (blocks[middle].y + blocks[middle].height > y) high = middle;
    else low = middle + 1;
  }
  return low;
}
