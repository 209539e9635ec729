// Elements of the page, and what they say.

import { Sentence } from "./i18n.js";

const SPOKEN = ["aria-label", "title", "placeholder", "alt"];
const KEYED = ["[data-i18n]", ...SPOKEN.map((name) => `[data-i18n-${name}]`)].join();

/** @typedef {Record<string, [Sentence, string]>} Said */

/** @type {WeakMap<Element, Said>} */
const bound = new WeakMap(); // element -> {"" for its text, or an attribute: [sentence, what it reads now]}
/** @type {Set<WeakRef<Element>>} */
const holders = new Set(); // weak references to them
let most = 1000; // holders until the next look which of them are gone

/**
 * An element with these attributes; `text`, where given, is its content.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function node(tag, attributes, text) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) setText(made, value, name);
  if (text !== undefined) setText(made, text);
  return made;
}

/**
 * Sets an element's text, or one of its attributes. A sentence changes with the language, until something else is set.
 * @param {Element} element
 * @param {unknown} text
 * @param {string} [name] of an attribute
 */
export function setText(element, text, name = "") {
  const own = bound.get(element);
  const shown = String(text ?? "");
  if (text instanceof Sentence) {
    if (own) own[name] = [text, shown];
    else hold(element, { [name]: [text, shown] });
  } else if (own) delete own[name];
  put(element, shown, name);
}

/**
 * @param {Element} element
 * @param {Said} own
 */
function hold(element, own) {
  bound.set(element, own);
  holders.add(new WeakRef(element));
  if (holders.size < most) return;
  for (const holder of holders) if (!holder.deref()) holders.delete(holder);
  most = Math.max(1000, 2 * holders.size);
}

/** @type {(element: Element, name: string) => string | null} */
const read = (element, name) => (name ? element.getAttribute(name) : element.textContent);

/** @type {(element: Element, text: string, name: string) => void} */
function put(element, text, name) {
  if (read(element, name) === text) return;
  if (name) element.setAttribute(name, text);
  else element.textContent = text;
}

/**
 * HTML that Python drew says its keys in attributes (webui/ui/translations.py).
 * @param {Element} root
 */
export function keyed(root) {
  const own = root.matches(KEYED) ? [root] : [];
  for (const element of [...own, ...root.querySelectorAll(KEYED)]) {
    for (const name of ["", ...SPOKEN]) {
      const key = element.getAttribute(name ? `data-i18n-${name}` : "data-i18n");
      if (!key) continue;
      if (name || !element.firstElementChild) setText(element, new Sentence(key), name);
      else setTextBeside(element, new Sentence(key));
    }
  }
}

/**
 * An element's own text beside other elements gets a place of its own, so that it can change without them.
 * @param {Element} element
 * @param {Sentence} sentence
 */
function setTextBeside(element, sentence) {
  const text = [...element.childNodes].find((one) => one instanceof Text && one.data.trim());
  if (!text) return; // it has its place already
  const place = document.createElement("span");
  text.replaceWith(place);
  setText(place, sentence);
}

// After a change of the language: everything that is still as it was said.
export function drawAnew() {
  for (const holder of holders) {
    const element = holder.deref();
    if (!element) holders.delete(holder);
    for (const [name, said] of Object.entries((element && bound.get(element)) || {})) {
      const [sentence, shown] = said;
      if (read(element, name) !== shown) continue; // something else was set since
      said[1] = String(sentence);
      put(element, said[1], name);
    }
  }
}
