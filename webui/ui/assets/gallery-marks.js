// Which pictures of the Gallery are selected.

import { count } from "./gallery-ask.js";
import { t } from "./i18n.js";

/** @typedef {import("./picture-actions.js").Picture} Picture */

export const MARKS_MAX = 2000;

/**
 * `changed()` hears of every change; `tell(sentence)` says what could not be done.
 * @param {any} grid
 * @param {() => void} changed
 * @param {(sentence: string) => void} tell
 */
export function createMarks(grid, changed, tell) {
  /** @type {Map<number, Picture>} */
  const picked = new Map();

  function full() {
    tell(t("At most {number} pictures at once.", { number: MARKS_MAX.toLocaleString() }));
  }

  /** @param {Iterable<Picture>} pictures */
  function add(pictures) {
    for (const one of pictures) {
      if (picked.size >= MARKS_MAX && !picked.has(one.id)) {
        full();
        break;
      }
      picked.set(one.id, one);
    }
  }

  /** @param {Picture} one */
  function toggle(one) {
    if (!picked.delete(one.id)) add([one]);
    changed();
  }

  function clear() {
    if (!picked.size) return;
    picked.clear();
    changed();
  }

  /**
   * Every picture from one to another, both too; what lies between is loaded for it.
   * @param {number} from
   * @param {number} to
   */
  async function range(from, to) {
    const ends = [grid.place(from), grid.place(to)];
    if (!ends[0] || !ends[1]) return;
    const { flows } = grid.shelf;
    const number = (/** @type {any} */ place) => flows.indexOf(place.flow);
    ends.sort((one, other) => number(one) - number(other) || one.index - other.index);
    const [first, last] = ends;
    for (let i = number(first); i <= number(last) && picked.size < MARKS_MAX; i++) {
      const flow = flows[i];
      const until = flow === last.flow ? last.index + 1 : flow.total;
      await grid.shelf.need(flow, Math.min(until, MARKS_MAX));
      add(flow.items.slice(flow === first.flow ? first.index : 0, until));
    }
    changed();
  }

  async function all() {
    for (const flow of grid.shelf.flows) {
      const room = MARKS_MAX - picked.size;
      await grid.shelf.need(flow, Math.min(flow.total, room + 1));
      add(flow.items);
      if (picked.size >= MARKS_MAX) break;
    }
    changed();
  }

  // What was asked anew meanwhile is known as it is now.
  function refresh() {
    for (const id of picked.keys()) {
      const now = grid.shelf?.byId.get(id);
      if (now) picked.set(id, now);
    }
  }

  /** @param {number[]} ids */
  function drop(ids) {
    for (const id of ids) picked.delete(id);
    changed();
  }

  const words = () => (picked.size ? t("{pictures} selected", { pictures: count(picked.size) }) : "");
  return {
    has: (/** @type {number} */ id) => picked.has(id),
    size: () => picked.size,
    list: () => [...picked.values()],
    toggle,
    clear,
    range,
    all,
    refresh,
    drop,
    words,
  };
}
