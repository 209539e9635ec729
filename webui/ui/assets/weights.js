// Weights in prompts by keys: `(word:1.1)`, as the engine reads them (webui/engine/text/emphasis.py).

export const WEIGHT_STEP = 0.1;

// What one step up (`by` = 1) or down (-1) makes of the words between two places of a text: `{from, to, text, start,
// end}`, the part to replace, what with, and the selection afterwards; null where there is nothing to weigh.
export function weighed(text, start, end, by) {
  const MOST = 10;
  const behind = new Uint8Array(text.length + 1); // a backslash that counts: each place is looked at once
  for (let at = 0; at < text.length; at++) behind[at + 1] = text[at] === "\\" && !behind[at] ? 1 : 0;
  const escaped = (at) => behind[at] === 1;
  const DIGITS = 40; // of a weight with its blanks at most, so that no search looks far
  const stepped = (weight) => Math.min(MOST, Math.max(0, Math.round((weight + by * WEIGHT_STEP) * 100) / 100));

  function groups() {
    // {open, close, weight, inner}: round brackets, innermost first, and `<name:weight>`
    const found = [],
      open = [];
    for (let at = 0; at < text.length; at++) {
      if (escaped(at)) continue;
      if (text[at] === "(") open.push(at);
      if (text[at] === ")" && open.length) {
        const from = open.pop(),
          tail = Math.max(from + 1, at - DIGITS);
        const number = /:\s*([+-]?\d*\.?\d+)\s*$/.exec(text.slice(tail, at));
        found.push({
          open: from,
          close: at,
          inner: number ? tail + number.index : at,
          weight: number ? Number(number[1]) : 1.1,
        });
      }
    }
    for (const tag of text.matchAll(/<\w+:[^<>]*>/g)) {
      const close = tag.index + tag[0].length - 1;
      const number = /:([+-]?\d*\.?\d+)$/.exec(text.slice(Math.max(tag.index, close - DIGITS), close));
      if (!number || !tag[0].slice(0, -1 - number[0].length).includes(":")) continue;
      found.push({ open: tag.index, close, inner: close - number[1].length, weight: Number(number[1]), tag: true });
    }
    return found;
  }

  function changed(group) {
    const weight = stepped(group.weight);
    if (group.tag) return { from: group.inner, to: group.close, text: String(weight), start, end };
    const inside = text.slice(group.open + 1, group.inner);
    const whole = { from: group.open, to: group.close + 1 };
    const within = (at, length) => Math.min(Math.max(at - group.open - 1, 0), length);
    const shift = weight === 1 ? 0 : 1;
    return {
      ...whole,
      text: weight === 1 ? inside : `(${inside}:${weight})`,
      start: group.open + shift + within(start, inside.length),
      end: group.open + shift + within(end, inside.length),
    };
  }

  if (start === end) {
    const around = groups()
      .filter((one) => one.open <= start && start <= one.close + 1)
      .sort((a, b) => a.close - a.open - (b.close - b.open))[0];
    if (around) return changed(around);
    const word = /(?:\\.|[^\s,()[\]{}<>|:\\])/.source;
    for (const one of text.matchAll(new RegExp(word + "+", "g"))) {
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
  const exact = groups().find(
    (one) => (one.open === start && one.close + 1 === end) || (!one.tag && one.open + 1 === start && one.inner === end),
  );
  if (exact) return changed(exact);
  let depth = 0;
  for (let at = start; at < end && depth >= 0; at++) {
    if (!escaped(at)) depth += text[at] === "(" ? 1 : text[at] === ")" ? -1 : 0;
  }
  if (depth !== 0) return null; // half a group
  return { from: start, to: end, text: `(${text.slice(start, end)}:${stepped(1)})`, start: start + 1, end: end + 1 };
}
