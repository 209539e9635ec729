// The forms of the page: a store for each task, which Python fills (webui/ui/forms.py), the widgets write to by Gradio's
// events, and jobs are asked for from. What somebody changed outlives a reload of this browser tab: the values that are
// not the usual ones, and the model; of pictures where the server has them, with the mask that was sent last.

import { whenIdle } from "./accordion.js";
import { sendAll } from "./canvas-send.js";
import { FormStore, takes } from "./form-store.js";
import { firstDrawn, updated } from "./gradio.js";
import { t } from "./i18n.js";
import { recall, remember } from "./memory.js";
import { toast } from "./overlays.js";
import { batch, effect, signal } from "./signals.js";

const WAIT_MS = 10000; // for the usual values of a model, from a server that may not answer
const AFTER_MS = 100; // until Gradio has closed the stream of an answer: what is asked for just then is never heard of

/** @typedef {{ store: FormStore, task: string, name: string, drawn: any }} Place */

/** @type {Map<string, FormStore>} */
const stores = new Map(); // by the name of the task
/** @type {Map<string, Place>} */
const fields = new Map(); // {store, task, name, drawn: what Gradio drew at first} by the id of the control
let ask = () => {}; // has Gradio show what the widgets do not show yet
let listening = false; // Gradio, for what is asked
/** @type {string | null} */
let instead = null; // the model that the menu is to show, as the chosen one is gone
let rebased = false; // other usual values came than the page was drawn with
/** @type {Set<Promise<any>>} */
export const arriving = new Set(); // settings that were asked for and are not in a form yet
const hands = new Set(); // the controls that somebody has touched since they told their value
/** @type {{ value: string | null, choices: [string, string][] }} */
const menu = { value: null, choices: [] }; // of models, as drawn

export const model = signal(/** @type {string | null} */ (null)); // the name of the chosen one
/** What else is usual with it than values, once Python was asked: examples by the task, sizes by their first side's id,
 * and what the model draws. */
export const usual = signal(
  /** @type {{ suggested: Record<string, any[]>, sizes: Record<string, [string, number, number][]>, model: any }} */ ({
    suggested: {},
    sizes: {},
    model: null,
  }),
);

const drawn = firstDrawn();
Object.assign(menu, drawn.get("easel-model"));
for (const [task, own] of Object.entries(drawn.get("easel-forms")?.value.fields ?? {})) {
  const store = new FormStore(own, later);
  stores.set(task, store);
  for (const name of Object.keys(own)) {
    const id = `${task}-${name}`;
    fields.set(id, { store, task, name, drawn: drawn.get(id) ?? {} });
  }
}
model.value = menu.value ?? null;

/** @param {string} task */
export const formOf = (task) => stores.get(task);
/** @param {string} id */
export const fieldAt = (id) => fields.get(id);

// --- With the widgets ------------------------------------------------------------------------------

function later() {
  if (listening) queueMicrotask(() => ask());
}

// What the menu of models and each widget are to show, in Python's order; undefined where they stay.
export function put() {
  const menuShows = instead === null ? undefined : chooses(instead);
  instead = null;
  return [menuShows, ...unshown()];
}

const unshown = () =>
  [...stores.values()].flatMap((store) => {
    const values = store.take();
    return Object.entries(store.fields).map(([name, [kind]]) =>
      kind === "picture" ? sized(values[name]) : values[name],
    );
  });

// A picture that is put in place says no size, for that of the form is, too.
/** @param {any} value */
const sized = (value) => (value?.image ? { ...value, image: { ...value.image, sized: true } } : value);

/** @param {string | null} name */
function choose(name) {
  if (name === null || name === model.value) return;
  model.value = name;
  instead = name;
  later();
}

/** @param {string} task @param {string} name @param {any} value */
export function told(task, name, value) {
  const store = stores.get(task);
  const byHand = hands.delete(`${task}-${name}`) || store?.fields[name]?.[0] === "picture";
  store?.told(name, value ?? null, byHand);
}

/** @param {string} name */
export function chosen(name) {
  model.value = name ?? null;
}

// What somebody types is known at once, also in a widget that Gradio has just drawn and does not listen to yet. Of a menu,
// and of what a widget makes of its text when it is left, only Gradio tells.
/** @type {Record<string, (widget: any) => any>} */
const typed = {
  number: ({ value }) => (value === "" ? null : Number(value)),
  optional: ({ value }) => value,
  text: ({ value }) => value,
  switch: ({ checked }) => checked,
};
for (const kind of ["input", "change", "pointerdown", "keydown"]) {
  document.addEventListener(
    kind,
    (event) => {
      let at = /** @type {any} */ (event.target);
      while (at && !fields.has(at.id)) at = at.parentElement;
      if (!at) return;
      const { store, name } = fields.get(at.id);
      const read = typed[store.fields[name][0]];
      if (kind === "input" && read) store.told(name, read(event.target), true);
      if (kind === "change") store.close();
      if (!read || (kind === "change" && event.isTrusted)) hands.add(at.id);
    },
    true,
  );
}

// --- With Python -----------------------------------------------------------------------------------

const taken = new Set(); // the numbers of the messages that were

/**
 * What Python puts into a form. `says`: somebody took settings from elsewhere, so that it is told and can be undone; `notes`
 * are what could not be taken over, `model` is the one to be chosen, among `choices` of the menu.
 * @typedef {{ number: number, task: string, values: Record<string, any>, says?: boolean, notes?: any[],
 *   model?: string | null, choices?: string[] }} Filling
 */

/** @param {Filling} message */
function fill({ number, task, values, says = false, notes = [], model: name = null, choices = [] }) {
  const store = stores.get(task);
  if (!number || taken.has(number) || !store) return;
  taken.add(number);
  if (choices.length) menu.choices = choices.map((one) => [one, one]);
  const before = model.value;
  const other = name === before ? null : name;
  const beside = { undo: () => choose(before), redo: () => choose(other) };
  const step = store.fill(values, other === null ? undefined : beside);
  choose(other);
  if (says) tellTaken(task, step, notes);
}

/** By the task what could not be taken over from the settings that came into its form last. */
export const untaken = signal(/** @type {Record<string, any[]>} */ ({}));
let saying = () => {}; // takes back what was said of the last one

/** @param {string} task @param {import("./form-store.js").Step | null} step @param {any[]} notes */
function tellTaken(task, step, notes) {
  saying();
  if (step) saying = toast(t("Settings taken."), { label: t("Undo"), act: () => undo(task, step) });
  else if (!notes.length) saying = toast(t("The form has these settings already."), null, 4);
  untaken.value = { ...untaken.value, [task]: notes };
}

/**
 * One step back in a form, or all from a step on; of what was painted meanwhile the redo knows.
 * @param {string} task @param {import("./form-store.js").Step | null} [step]
 */
async function undo(task, step = null) {
  saying();
  await sendAll();
  await new Promise((go) => setTimeout(go, AFTER_MS)); // Gradio tells of what was sent after that
  stores.get(task)?.undo(step);
  untaken.value = { ...untaken.value, [task]: [] };
}

/** @param {string} name */
const FOLLOWS = (name) => name !== "prompt"; // another model's usual value

/** @param {any} _element @param {any} trigger @param {any} props @param {any} watch */
export function forms(_element, trigger, props, watch) {
  ask = () => trigger("put", {});
  renew = () => trigger("renew", {});
  watch("value", () => fill(props.value ?? {}));
  watch("fresh", () => {
    const { of, asked, fields, suggested, sizes, model: said } = props.fresh;
    if ((model.value ?? asked) !== asked) return; // another has been chosen since: its own comes, or was here before
    rebased = true;
    batch(() => {
      if (of !== asked) {
        model.value = of;
        instead = of;
        later();
      }
      for (const [task, store] of stores) store.rebase(fields[task] ?? {}, FOLLOWS);
      usual.value = { suggested, sizes, model: said };
    });
    waiting?.over();
  });
}
let renew = () => {};

/** @type {{ there: Promise<void>, over: () => void } | null} */
let waiting = null; // while usual values are asked for
const held = new Set(); // buttons that were pressed meanwhile

/** @param {string} of */
export function asking(of) {
  model.value = of;
  wait();
  return of;
}

function wait() {
  waiting?.over();
  const now = { there: Promise.resolve(), over: () => {} };
  now.there = new Promise((/** @type {(value?: any) => void} */ resolve) => {
    const timer = setTimeout(() => now.over(), WAIT_MS);
    now.over = () => {
      clearTimeout(timer);
      if (waiting === now) waiting = null;
      resolve();
    };
  });
  waiting = now;
}

// What is sent to Python to ask for a job, once the usual values of the model are there. `message` is what Python sent
// last: it may not have been told yet.
/** @param {string} task @param {any} message @param {any[]} pictures */
export async function request(task, message, ...pictures) {
  fill(message ?? {});
  await Promise.allSettled(arriving);
  while (waiting) {
    await waiting.there;
    await new Promise((go) => setTimeout(go, AFTER_MS));
  }
  held.clear();
  return [{ ...stores.get(task).values(), model: model.value }, ...pictures];
}

document.addEventListener(
  "click",
  (event) => {
    const button = event.target.closest?.(".easel-generate, .easel-add");
    if (!button || !waiting) return;
    if (held.has(button)) event.stopImmediatePropagation();
    held.add(button);
  },
  true,
);

// --- Undo ------------------------------------------------------------------------------------------

// What a fill has changed is undone whole. What somebody has typed the browser undoes, as long as it can.
const TYPED = "textarea, input:not([type=range], [type=checkbox], [type=radio], [type=button])";
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.defaultPrevented) return;
  const key = event.key.toLowerCase();
  const redo = key === "y" || (key === "z" && event.shiftKey);
  if (!redo && key !== "z") return;
  const at = /** @type {HTMLElement} */ (event.target);
  const form =
    at.closest(".easel-task") ?? [...document.querySelectorAll(".easel-task")].find((one) => one.offsetParent);
  const task = [...stores.keys()].find((one) => form?.querySelector(`#${CSS.escape(one)}-stage`));
  const typed = at.matches(TYPED);
  if (!task || document.querySelector("dialog[open]") || (typed && !fieldOver(at))) return;
  const store = stores.get(task);
  if (typed && !store.fills(redo)) {
    undoneBy(at, redo, () => (redo ? store.redo() : undo(task)));
    return;
  }
  if (!(redo ? store.canRedo : store.canUndo)) return;
  event.preventDefault();
  if (redo) store.redo();
  else undo(task);
});

/** @param {Element} at */
function fieldOver(at) {
  let over = at;
  while (over && !fields.has(over.id)) over = over.parentElement;
  return over ? fields.get(over.id) : null;
}

/**
 * Calls `act` unless the browser undoes something of its own now: of what was set meanwhile its steps change nothing.
 * @param {any} field @param {boolean} redo @param {() => void} act
 */
function undoneBy(field, redo, act) {
  const before = field.value;
  let own = false;
  const hear = (/** @type {any} */ { inputType, target }) => {
    own ||= inputType === (redo ? "historyRedo" : "historyUndo") && (target !== field || field.value !== before);
  };
  document.addEventListener("input", hear, true);
  setTimeout(() => {
    document.removeEventListener("input", hear, true);
    if (!own) act();
  });
}

// --- Over a reload ---------------------------------------------------------------------------------

// Gradio listens, and says what the menu of models and the widgets hold: what was written into them before that, and
// what was kept, is put in place.
/** @param {any[]} held */
export function restored([shown, ...now]) {
  /** @type {any} */
  const kept = { model: "", usual: null, values: {}, ...recall("forms", {}) };
  const other = Boolean(kept.model) && shown === menu.value;
  const before = kept.usual && (other || !kept.model) ? kept.usual : {};
  rebased = Boolean(kept.usual);
  model.value = other ? kept.model : (shown ?? null);
  let at = 0;
  batch(() => {
    for (const [task, store] of stores) {
      for (const name of Object.keys(store.fields)) store.told(name, now[at++] ?? null, true);
      const fits = (/** @type {string} */ name, /** @type {any} */ value) =>
        takes(fields.get(`${task}-${name}`).drawn, value);
      store.restore(before[task] ?? {}, keptOf(task, store, kept.values ?? {}), fits, FOLLOWS);
    }
  });
  listening = true;
  keep();
  const stale = document.querySelector("meta[name=easel-form]"); // drawn before the settings or models of now
  if (stale || other) {
    wait();
    whenIdle(() => {
      stale?.remove();
      renew();
    });
  }
  return [other ? chooses(kept.model) : undefined, ...unshown()];
}

/** @param {string} task @param {FormStore} store @param {Record<string, any>} values */
const keptOf = (task, store, values) =>
  Object.fromEntries(
    Object.keys(store.fields)
      .filter((name) => `${task}-${name}` in values)
      .map((name) => [name, values[`${task}-${name}`]]),
  );

/** @param {string} name */
function chooses(name) {
  const choices = menu.choices.some(([, one]) => one === name) ? menu.choices : [...menu.choices, [name, name]];
  return updated({ value: name, choices });
}

function keep() {
  let asked = false;
  const write = () => {
    asked = false;
    /** @type {Record<string, any>} */
    const values = {};
    /** @type {Record<string, any>} */
    const fields = {};
    for (const [task, store] of stores) {
      fields[task] = store.fields;
      for (const [name, value] of Object.entries(store.changed())) {
        if (store.fields[name][0] !== "picture") values[`${task}-${name}`] = value;
        else if (value?.image) values[`${task}-${name}`] = { ...value, image: { ...value.image, sized: true } }; // sides stay
      }
    }
    const other = model.value === menu.value ? "" : model.value;
    remember("forms", { model: other, usual: other || rebased ? fields : null, values });
  };
  effect(() => {
    for (const store of stores.values()) store.values();
    model.value;
    if (!asked) whenIdle(write);
    asked = true;
  });
  addEventListener("pagehide", write);
}
