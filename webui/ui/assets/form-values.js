// What the controls of a form show, and which values are the usual ones.

import { fieldOf } from "./gradio.js";

// What a control shows; undefined while Gradio has not drawn it.
export function shownValue(id, kind) {
  const control = document.getElementById(id);
  const field = kind === "picture" ? control?.querySelector(".canvas-drop") : fieldOf(control, FIELD[kind]);
  return field ? readers[kind](field) : undefined;
}

const FIELD = { number: "number", optional: "text", choice: "menu", switch: "switch", text: "text" };
const readers = {
  number: (box) => (box.value === "" ? null : Number(box.value)),
  optional: (box) => box.value.trim(),
  choice: (box) => box.value,
  switch: (box) => box.checked,
  text: (box) => box.value,
  picture: (drop) => drop.hidden,
};

// The model whose usual values are asked for, null where none are: what is to be painted waits for them. And those that came
// last: {of: model, usual}.
export const usualValues = { asked: null, fresh: null };
