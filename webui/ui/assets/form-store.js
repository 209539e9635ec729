// What a task's form holds: the one place where that is known. Python gives the fields, the widgets tell what somebody
// changes, and `unsent` is what the widgets do not show yet. Knows neither the page nor Gradio.

import { batch, signal } from "./signals.js";

/**
 * A field as Python gives it: kind, label, the value that is usual with the model, and of a choice what else its values
 * are called.
 * @typedef {[string, string, any, [any, string][]?]} Field
 */
/** @typedef {Record<string, any>} Values by the name of a field */
/** @typedef {{ before: Values, after: Values, typed: boolean }} Step */

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
    if (byHand) this.#step({ [name]: value }, true);
    else if (this.#refused.has(name) && same(this.#refused.get(name), value)) held.value = value;
    else {
      this.#refused.set(name, value);
      this.#send(name, held.value);
      return;
    }
    this.#refused.delete(name);
    this.#unsent.delete(name);
  }

  /** Values from elsewhere than the widgets, which are to show them: one step. @param {Values} values */
  fill(values) {
    this.#step(values, false);
  }

  /**
   * The fields with another model's usual values: what is as usual follows them, what somebody changed stays. Fields
   * that are not among `followers` keep their value all the same.
   * @param {Record<string, Field>} fields @param {(name: string) => boolean} followers
   */
  rebase(fields, followers = () => true) {
    const values = /** @type {Values} */ ({});
    for (const [name, [, , usual]] of Object.entries(this.fields)) {
      if (name in fields && followers(name) && same(this.value(name), usual)) values[name] = fields[name][2];
    }
    batch(() => {
      this.#fields.value = { ...this.fields, ...pick(fields, (name) => this.has(name)) };
      this.fill(values);
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
    if (last) last.typed = false;
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  undo() {
    this.#back(this.#done, this.#undone, "before");
  }

  redo() {
    this.#back(this.#undone, this.#done, "after");
  }

  /** @param {Step[]} from @param {Step[]} to @param {"before" | "after"} side */
  #back(from, to, side) {
    const step = from.pop();
    if (!step) return;
    step.typed = false;
    to.push(step);
    this.#set(step[side], true);
  }

  /** @param {Values} values @param {boolean} typed */
  #step(values, typed) {
    const after = pick(values, (name, value) => this.has(name) && !same(this.value(name), value));
    const names = Object.keys(after);
    if (!names.length) return;
    const last = this.#done.at(-1);
    if (typed && last?.typed && names.every((name) => name in last.after)) Object.assign(last.after, after);
    else this.#done.push({ before: pick(this.values(), (name) => name in after), after, typed });
    if (this.#done.length > STEPS) this.#done.shift();
    this.#undone = [];
    this.#set(after, !typed);
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
