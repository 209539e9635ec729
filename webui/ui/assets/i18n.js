// Sentences in the visitor's language. English is the key: t("Step {step} of {steps}", {…}). What t() gives is a sentence, text
// wherever text is wanted, and one that is set with setText() (dom.js) changes with the language. Knows no page.

/** @typedef {Readonly<Record<string, unknown>>} Values */

let words = /** @type {ReadonlyMap<string, string>} */ (new Map()); // English -> the language's own

const fill = (/** @type {string} */ text, /** @type {Values} */ values) =>
  text.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole));

/** A key and the values in it. A value may be a sentence too. What has no translation is English. */
export class Sentence extends String {
  /** @param {string} key @param {Values} values */
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
  toString() {
    return fill(words.get(this.key) ?? this.key, this.values);
  }
  valueOf() {
    return this.toString();
  }
  toJSON() {
    return this.toString();
  }
}

/** A label inside a sentence: "Send to inpaint". Other languages have rules of their own. */
class Within extends Sentence {
  toString() {
    return words.size ? super.toString() : super.toString().toLowerCase();
  }
}

/**
 * A sentence of the page's own. The key is written out where it is said, so that what is lacking in a language is found
 * (tests/ui/words.py); a choice between two is `many ? t("…") : t("…")`.
 * @param {string} key @param {Values} [values] @returns {string}
 */
export function t(key, values) {
  return /** @type {any} */ (new Sentence(key, values));
}

/** What Python calls something on the page: a control's label, a task's hint. @param {string} key @returns {string} */
export const named = (key) => /** @type {any} */ (key ? new Sentence(key) : "");

/** @param {string} label @returns {string} */
export const within = (label) => /** @type {any} */ (new Within(label));

/**
 * What Python tells the page (webui/sentences.py): [key, values] of a sentence of ours, or somebody's own words.
 * @param {any} told @returns {string}
 */
export function sentence(told) {
  if (!Array.isArray(told)) return told ?? "";
  const [key, values] = told;
  const said = Object.entries(values).map(([name, value]) => [name, sentence(value)]);
  return /** @type {any} */ (new Sentence(key, Object.fromEntries(said)));
}

/** Facts side by side, without those that are lacking. @param {string} between @param {any[]} parts @returns {string} */
export function joined(between, parts) {
  const there = parts.filter(Boolean);
  const key = there.map((_, place) => `{${place}}`).join(between);
  return /** @type {any} */ (new Sentence(key, { ...there }));
}

/** Says everything in other words from now on. @param {Readonly<Record<string, string>>} language English -> its own */
export function speak(language) {
  words = new Map(Object.entries(language));
}
