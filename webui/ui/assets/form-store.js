// What a task's form holds: the one place where that is known. Python gives the fields, the widgets tell what somebody
// changes, and `unsent` is what the widgets do not show yet. Knows neither the page nor Gradio.

import { batch, signal } from "./signals.js";

/**
 * A field as Python gives it: kind, label, the value that is usual with the model, and of a choice what else its values
 * are called.
 * @typedef {[string, string, any, [any, string][]?]} Field
 */
/** @typedef {Record<string, any>} Values by the name of a field */
/**
 * What else a step changes, which the store does not know.
 * @typedef {{ undo: () => void, redo: () => void }} Beside
 */
/** @typedef {{ before: Values, after: Values, kind: "typed" | "set" | "fill", beside?: Beside }} Step */

const STEPS = 100; // that can be undone

/** Values are JSON; -0 is 0. @param {any} one @param {any} other */
export const same = (one, other) => one === other || JSON.stringify(one) === JSON.stringify(other);

export class FormStore {
  #values = /** @type {Map<string, { value: any }>} */ (new Map());
  #unsent = /** @type {Map<string, any>} */ (new Map());
  #refused = /** @type {Map<string, any>} */ (new Map());
  /** @type {Step[]} */
  #done = [];
  /** @type {Step[]} */
  #undone = [];
  #fields;

  #tell;

  /** @param {Record<string, Field>} fields @param {() => void} tell hears that there is something to `take` */
  constructor(fields, tell = () => {}) {
    this.#tell = tell;
    this.#fields = signal(fields);
    for (const [name, [, , usual]] of Object.entries(fields)) this.#values.set(name, signal(usual));
  }

  get fields() {
    return this.#fields.value;
  }

  /** @param {string} name */
  has(name) {
    return this.#values.has(name);
  }

  /** @param {string} name @returns {any} undefined where there is no such field */
  value(name) {
    return this.#values.get(name)?.value;
  }

  /** @returns {Values} */
  values() {
    return Object.fromEntries([...this.#values].map(([name, held]) => [name, held.value]));
  }

  /** The values that are not the usual ones. @returns {Values} */
  changed() {
    return Object.fromEntries(
      Object.entries(this.values()).filter(([name, value]) => !same(value, this.fields[name][2])),
    );
  }

  /**
   * A widget shows a value, `byHand` because somebody has set it there. What a widget shows of its own accord (Gradio
   * draws first values anew in the frame after) is put right once; what it insists on is its value.
   * @param {string} name @param {any} value @param {boolean} byHand
   */
  told(name, value, byHand) {
    const held = this.#values.get(name);
    if (!held) return;
    if (same(held.value, value)) {
      this.#refused.delete(name);
      this.#unsent.delete(name);
      return;
    }
    if (byHand && this.fields[name][0] === "picture")
      held.value = value; // what is painted has an undo of its own
    else if (byHand) this.#step({ [name]: value }, "typed");
    else if (this.#refused.has(name) && same(this.#refused.get(name), value)) held.value = value;
    else {
      this.#refused.set(name, value);
      this.#send(name, held.value);
      return;
    }
    this.#refused.delete(name);
    this.#unsent.delete(name);
  }

  /**
   * Values from elsewhere than the widgets, which are to show them: one step, and null where nothing changes.
   * @param {Values} values @param {Beside} [beside]
   */
  fill(values, beside) {
    return this.#step(values, "fill", beside);
  }

  /**
   * The fields with another model's usual values: what is as usual follows them, what somebody changed stays. Fields
   * that are not among `followers` keep their value all the same.
   * @param {Record<string, Field>} fields @param {(name: string) => boolean} followers
   */
  rebase(fields, followers = () => true) {
    const values = /** @type {Values} */ ({});
    for (const [name, [, , usual]] of Object.entries(this.fields)) {
      if (!(name in fields) || !followers(name) || !same(this.value(name), usual)) continue;
      if (!same(fields[name][2], usual)) values[name] = fields[name][2];
    }
    batch(() => {
      this.#fields.value = { ...this.fields, ...pick(fields, (name) => this.has(name)) };
      this.#set(values, true); // no step: what somebody has done is undone to what it was, not to another model
    });
  }

  /**
   * What was kept of a form before: its fields' usual values then, and what somebody had set, where it `fits`. What was
   * set since stays. There is nothing to undo then.
   * @param {Record<string, Field>} usual @param {Values} values
   * @param {(name: string, value: any) => boolean} fits @param {(name: string) => boolean} followers
   */
  restore(usual, values, fits, followers) {
    const set = this.changed();
    this.rebase(
      pick(usual, (name, one) => Array.isArray(one) && one.length > 2 && fits(name, one[2])),
      followers,
    );
    this.fill(pick(values, (name, value) => this.has(name) && !(name in set) && fits(name, value)));
    this.#done = [];
    this.#undone = [];
  }

  /** What the widgets do not show yet; they are told now. @returns {Values} */
  take() {
    const values = Object.fromEntries(this.#unsent);
    this.#unsent.clear();
    return values;
  }

  /** @param {string} name @param {any} value */
  #send(name, value) {
    if (!this.#unsent.size) this.#tell();
    this.#unsent.set(name, value);
  }

  // --- Undo --------------------------------------------------------------------------------------

  /** What is typed into one field is one step, until it is over. */
  close() {
    const last = this.#done.at(-1);
    if (last?.kind === "typed") last.kind = "set";
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Whether the next undo, or redo, is of a fill. @param {boolean} redo */
  fills(redo = false) {
    return (redo ? this.#undone : this.#done).at(-1)?.kind === "fill";
  }

  /** One step back, or all from a step on. @param {Step | null} [from] */
  undo(from = null) {
    if (from && !this.#done.includes(from)) return;
    do this.#back(this.#done, this.#undone, "before");
    while (from && this.#done.includes(from));
  }

  redo() {
    this.#back(this.#undone, this.#done, "after");
  }

  /** @param {Step[]} from @param {Step[]} to @param {"before" | "after"} side */
  #back(from, to, side) {
    const step = from.pop();
    if (!step) return;
    if (step.kind === "typed") step.kind = "set";
    const other = step[side === "before" ? "after" : "before"];
    for (const name of Object.keys(other)) {
      if (this.fields[name][0] === "picture") other[name] = this.value(name); // with what was painted since
    }
    to.push(step);
    this.#set(step[side], true);
    step.beside?.[side === "before" ? "undo" : "redo"]();
  }

  /** @param {Values} values @param {"typed" | "fill"} kind @param {Beside} [beside] @returns {Step | null} */
  #step(values, kind, beside) {
    const after = pick(values, (name, value) => this.has(name) && !same(this.value(name), value));
    const names = Object.keys(after);
    if (!names.length && !beside) return null;
    let last = this.#done.at(-1);
    if (kind === "typed" && last?.kind === "typed" && names.every((name) => name in last.after)) {
      Object.assign(last.after, after);
      if (same(last.after, last.before)) this.#done.pop(); // the browser has undone it
    } else {
      last = { before: pick(this.values(), (name) => name in after), after, kind, beside };
      this.#done.push(last);
    }
    if (this.#done.length > STEPS) this.#done.shift();
    this.#undone = [];
    this.#set(after, kind === "fill");
    return last;
  }

  /** @param {Values} values @param {boolean} tell whether the widgets are to be told */
  #set(values, tell) {
    batch(() => {
      for (const [name, value] of Object.entries(values)) {
        if (tell) this.#send(name, value);
        this.#refused.delete(name);
        const held = this.#values.get(name);
        if (held) held.value = value;
      }
    });
  }
}

/** @template T @param {Record<string, T>} from @param {(name: string, value: T) => boolean} fits @returns {Record<string, T>} */
const pick = (from, fits) => Object.fromEntries(Object.entries(from).filter(([name, value]) => fits(name, value)));

/**
 * Whether a control takes a value: what stands for another version's control is forgotten.
 * @param {{ choices?: [string, any][], minimum?: number, maximum?: number, value?: any }} drawn as Gradio drew it
 * @param {any} value
 */
export function takes({ choices, minimum, maximum, value: first }, value) {
  if (choices) return choices.some(([, one]) => same(one, value));
  if (typeof value !== typeof first) return false;
  return typeof value !== "number" || !(value < (minimum ?? value) || value > (maximum ?? value));
}
