// The signs of a prompt that the page acts on: its round brackets and its tags, as the engine's tree has them
// (webui/prompt/parse.py and tags.py; tests/prompt/test_signs.py holds both against each other).

/**
 * Something with a weight, by places in the text: from `open` to `close`, both included. `inner` is where its weight
 * begins to be written, or `close`. `kept` are tags that stand behind that.
 * @typedef {{open: number, close: number, inner: number, weight: number, tag: boolean, kept: string}} Weighed
 */

const OPEN = /<(?:lora|lyco|hypernet):/gi;
const OPTION =
  /^(?:[+-]?(?:(?:\p{Nd}+(?:[.,]\p{Nd}*)?|[.,]\p{Nd}+)(?:e[+-]?\p{Nd}+)?|inf|infinity|nan)|[\p{L}\p{N}_]+\s*=.*)?$/isu;
const NUMBER = /^[+-]?[0-9]*\.?[0-9]+$/;
const MARK = /\\(?:[()[\]{}|\\]|__)|:\s*([+-]?(?:\p{Nd}+(?:\.\p{Nd}*)?|\.\p{Nd}+))\s*\)|[()[\]]/gu;

/**
 * Where each tag begins and ends (behind its `>`).
 * @param {string} text
 * @returns {{start: number, end: number}[]}
 */
function tagsOf(text) {
  const found = [];
  const starts = [...text.matchAll(OPEN)];
  for (const [number, start] of starts.entries()) {
    const inside = start.index + start[0].length;
    const end = text.indexOf(">", inside);
    const next = starts[number + 1]?.index ?? text.length;
    if (end > inside && end < next) found.push({ start: start.index, end: end + 1 });
  }
  return found;
}

/**
 * A tag's last number, if that is a strength.
 * @param {string} text
 * @param {{start: number, end: number}} tag
 * @returns {Weighed | null}
 */
function strengthOf(text, { start, end }) {
  const parts = text
    .slice(start, end - 1)
    .split(":")
    .slice(1);
  const first = parts.findIndex((part, at) => at > 0 && OPTION.test(part.trim()));
  const written = (parts.at(-1) ?? "").trimStart();
  const last = written.trimEnd();
  if (first < 0 || !NUMBER.test(last) || !parts.slice(0, first).join(":").trim()) return null;
  const unnamed = parts.slice(first, -1).filter((part) => !/^\s*[\p{L}\p{N}_]+\s*=/u.test(part));
  if (unnamed.length > 1) return null; // an argument of another program
  return { open: start, close: end - 1, inner: end - 1 - written.length, weight: Number(last), tag: true, kept: "" };
}

/**
 * What has a weight, and every round bracket that is no letter: 1 where it opens, -1 where it closes.
 * @param {string} text
 * @returns {{weighed: Weighed[], brackets: Map<number, number>, tags: {start: number, end: number}[]}}
 */
export function signsOf(text) {
  const tags = tagsOf(text);
  let plain = "";
  let at = 0;
  /** @type {number[]} where in the text each letter of `plain` stands */
  const places = [];
  for (const { start, end } of [...tags, { start: text.length, end: text.length }]) {
    plain += text.slice(at, start);
    for (; at < start; at++) places.push(at);
    at = end;
  }
  const weighed = tags.map((tag) => strengthOf(text, tag)).filter((one) => one !== null);
  /** @type {Map<number, number>} */
  const brackets = new Map();
  /** @type {{sign: string, at: number}[]} */
  const opened = [];
  for (const mark of plain.matchAll(MARK)) {
    const sign = mark[0].at(-1) ?? "";
    const close = places[mark.index + mark[0].length - 1];
    if (mark[0].startsWith("\\")) continue;
    if (sign === "(" || sign === ")") brackets.set(close, sign === "(" ? 1 : -1);
    const last = opened.at(-1)?.sign;
    if (sign === "(" || sign === "[") opened.push({ sign, at: close });
    else if (sign === "]" && last === "[") opened.pop();
    else if (sign === ")" && last === "(") {
      const open = opened.pop()?.at ?? 0;
      const inner = places[mark.index];
      const weight = mark[1] === undefined ? 1.1 : Number(mark[1].normalize("NFKC"));
      const kept = tags.filter((tag) => inner < tag.start && tag.end <= close);
      const behind = kept.map((tag) => text.slice(tag.start, tag.end)).join("");
      if (!Number.isNaN(weight)) weighed.push({ open, close, inner, weight, tag: false, kept: behind });
    }
  }
  return { weighed, brackets, tags };
}
