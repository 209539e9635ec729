// What the controls of a form show, and which values are the usual ones.

// What a control shows; undefined while Gradio has not drawn it.
export function shownValue(id, kind) {
  const control = document.getElementById(id);
  /** @type {(selector: string) => any} */
  const at = (selector) => (control.matches(selector) ? control : control.querySelector(selector));
  try {
    return readers[kind](at);
  } catch {
    return undefined;
  }
}

const readers = {
  number: (at) => {
    const box = at("input[type=number]");
    return box.value === "" ? null : Number(box.value);
  },
  optional: (at) => at("textarea, input").value.trim(),
  choice: (at) => at("input").value,
  switch: (at) => at("input[type=checkbox]").checked,
  text: (at) => at("textarea, input").value,
  picture: (at) => at(".canvas-drop").hidden,
};

// The model whose usual values are asked for, null where none are: what is to be painted waits for them. And those that came
// last: {of: model, usual}.
export const usualValues = { asked: null, fresh: null };
