// What somebody changed in the forms outlives a reload of this browser tab: the values that are not the usual ones, and
// the model. They are read off the page, and put back by Gradio's event `restore` (webui/ui/model_defaults.py), which runs in
// the page alone. Prompts are kept by assets/prompt.js; pictures are not kept.

import { shownValue, usualValues } from "./form-values.js";
import { fieldOf, firstDrawn, gradioText, updated } from "./gradio.js";
import { recall, remember } from "./memory.js";

const restoring = { kept: null, other: false }; // what is put back, until it is; whether the model is another, too

// `done` is told when the forms hold what they held before, and whether another model than the drawn one is chosen.
export function forms(trigger, props, done) {
  const PUT_BACK_MS = 300; // until Gradio shows what it was given
  drawn = firstDrawn();
  let kept = { model: "", usual: null, values: {}, ...recall("forms", {}) };
  let written = JSON.stringify(kept),
    ready = false;

  function model() {
    // of the menu, which holds what is looked for while somebody types there
    const box = fieldOf("easel-model", "menu");
    if (!box || box === document.activeElement) return kept.model;
    return box.value === drawn.get("easel-model").value ? "" : box.value;
  }

  function look() {
    if (!ready) return;
    const usual = props.value || {},
      values = {};
    for (const [id, [kind, , common]] of Object.entries(usual)) {
      if (kind === "picture" || id.endsWith("-prompt")) continue;
      const shown = shownValue(id, kind);
      const value = shown === undefined ? undefined : valueShown(id, kind, shown);
      if (value === undefined) {
        if (id in kept.values) values[id] = kept.values[id];
      } // not drawn, or half written
      else if (shown !== common) values[id] = value;
    }
    const chosen = model();
    kept = { model: chosen, usual: chosen || kept.usual || usualValues.fresh ? usual : null, values };
    const now = JSON.stringify(kept);
    if (now !== written) remember("forms", kept);
    written = now;
  }

  function start() {
    ready = true;
    const later = (event) => {
      if (event.target.closest?.(".easel-task, .easel-model")) setTimeout(look, 80);
    };
    for (const kind of ["input", "change", "click", "keyup"]) document.addEventListener(kind, later, true);
    addEventListener("pagehide", look);
    setInterval(() => {
      if (!document.hidden) look();
    }, 500); // what Python sets comes without an event
  }

  if (!kept.model && !kept.usual && !Object.keys(kept.values).length) {
    start();
    done(false);
    return;
  }
  restoring.kept = kept;
  const ask = () => {
    // Gradio may not listen yet
    if (restoring.kept) {
      trigger("restore", {});
      requestAnimationFrame(ask);
      return;
    }
    setTimeout(start, PUT_BACK_MS);
    done(restoring.other);
  };
  ask();
}

let drawn = new Map(); // of each control what Gradio drew at first: its value, limits and choices

// The value of what a control shows; undefined where it is none.
export function valueShown(id, kind, shown) {
  if (kind === "choice") return drawn.get(id)?.choices?.find(([label]) => gradioText(label) === shown)?.[1];
  return kind === "number" && shown === null ? undefined : shown;
}

// Whether a control takes a value: what stands for another version's control is forgotten.
export function takes(id, value) {
  const { choices, minimum, maximum, value: first } = drawn.get(id) || {};
  if (choices) return choices.some(([, one]) => one === value);
  if (typeof value !== typeof first) return false;
  return typeof value !== "number" || !(value < minimum || value > maximum);
}

// What the model's menu and the fields `ids` become when what was kept is put back; what is not as it was drawn has been
// changed since, and stays.
export function restored(ids, [usual, model, ...now]) {
  const kept = restoring.kept,
    same = updated();
  if (!kept) return [same, same, ...ids.map(() => same)];
  restoring.kept = null;
  const plain = (value) => String(value ?? ""),
    menu = drawn.get("easel-model");
  const other = kept.model && model === menu.value;
  const known = kept.usual && (other || !kept.model) ? kept.usual : {};
  const fields = ids.map((id, at) => {
    if (id in kept.values && !takes(id, kept.values[id])) delete kept.values[id];
    if (plain(now[at]) !== plain(usual[id]?.[3])) return same;
    const value = id in kept.values ? kept.values[id] : known[id]?.[3];
    if (value === undefined || plain(value) === plain(now[at])) return same;
    const given = typeof now[at] === "string" && id in known ? plain(value) : value;
    return takes(id, given) ? given : same;
  });
  const merged = Object.fromEntries(Object.entries(usual).map(([id, one]) => [id, known[id] || one]));
  if (!other) return [merged, same, ...fields];
  const choices = menu.choices.some(([, name]) => name === kept.model)
    ? menu.choices
    : [...menu.choices, [kept.model, kept.model]];
  restoring.other = true;
  return [merged, updated({ value: kept.model, choices }), ...fields];
}
