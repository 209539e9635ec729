// Weights in prompts by keys: `(word:1.1)`, as the engine reads them.

import { signsOf } from "./prompt-signs.js";

export const WEIGHT_STEP = 0.1;
const MOST = 10;
const WORD = /(?:\\.|[^\s,()[\]{}<>|:\\])+/g;

/**
 * What one step up (`by` = 1) or down (-1) makes of the words between two places of a text: the part to replace, what
 * with, and the selection afterwards; null where there is nothing to weigh.
 * @param {string} text
 * @param {number} start
 * @param {number} end
 * @param {number} by
 * @returns {{from: number, to: number, text: string, start: number, end: number} | null}
 */
export function weighed(text, start, end, by) {
  const signs = signsOf(text);
  /** @param {number} weight */
  const stepped = (weight) => Math.min(MOST, Math.max(0, Math.round((weight + by * WEIGHT_STEP) * 100) / 100));

  /** @param {ReturnType<typeof signsOf>["weighed"][number]} group */
  function changed(group) {
    const weight = stepped(group.weight);
    if (group.tag) return { from: group.inner, to: group.close, text: String(weight), start, end };
    const inside = text.slice(group.open + 1, group.inner) + group.kept;
    const shift = weight === 1 ? 0 : 1;
    /** @param {number} at */
    const within = (at) => group.open + shift + Math.min(Math.max(at - group.open - 1, 0), inside.length);
    return {
      from: group.open,
      to: group.close + 1,
      text: weight === 1 ? inside : `(${inside}:${weight})`,
      start: within(start),
      end: within(end),
    };
  }

  if (start === end) {
    const around = signs.weighed
      .filter((one) => one.open <= start && start <= one.close + 1)
      .sort((a, b) => a.close - a.open - (b.close - b.open))[0];
    if (around) return changed(around);
    if (signs.tags.some((tag) => tag.start < start && start < tag.end)) return null;
    for (const one of text.matchAll(WORD)) {
      if (one.index <= start && start <= one.index + one[0].length) {
        const to = one.index + one[0].length;
        return { from: one.index, to, text: `(${one[0]}:${stepped(1)})`, start: start + 1, end: start + 1 };
      }
    }
    return null;
  }
  while (start < end && /\s/.test(text[start])) start++;
  while (end > start && /\s/.test(text[end - 1])) end--;
  if (start === end) return null;
  const exact = signs.weighed.find(
    (one) => (one.open === start && one.close + 1 === end) || (!one.tag && one.open + 1 === start && one.inner === end),
  );
  if (exact) return changed(exact);
  let depth = 0;
  for (let at = start; at < end && depth >= 0; at++) depth += signs.brackets.get(at) ?? 0;
  if (depth !== 0) return null; // half a group
  return { from: start, to: end, text: `(${text.slice(start, end)}:${stepped(1)})`, start: start + 1, end: end + 1 };
}
