// The page's words in the visitor's language. English is the key: scripts say t("Step {step} of {steps}", {…}), Python and
// Gradio draw plain English, and what has no translation stays English. What carries translate="no" is somebody's own words.

export const i18n = { language: "en", list: [], studio: "" };

const ATTRIBUTES = ["aria-label", "title", "placeholder", "alt"];
const LONGEST = 600,
  KEPT = 4000;
let words = null,
  patterns = [],
  known = new Map();
const made = new Map(); // what t() gave -> [text, values]: the way back to English
const nodes = new WeakMap(),
  elements = new WeakMap(); // what stands there now, and what it was in English
let waiting = new Set(),
  frame = 0;

const fill = (text, values) =>
  text.replace(/\{(\w+)\}/g, (whole, name) => (values && name in values ? values[name] : whole));

export function t(text, values) {
  const said = fill(words?.get(text) ?? text, values);
  keep(made, said, [text, values]);
  return said;
}

// A label as it reads inside a sentence: "Send to inpaint". Other languages have rules of their own.
export const within = (label) => (words ? (words.get(label) ?? label) : label.toLowerCase());

function keep(map, key, value) {
  if (map.size >= KEPT) map.delete(map.keys().next().value);
  map.set(key, value);
  return value;
}

function compiled(text) {
  // a sentence with {names}, as a pattern of what is written with it
  const pieces = text.split(/\{\w+\}/);
  if (pieces.join("").replace(/[^\p{L}]/gu, "").length < 2) return null; // it would fit anything
  const source = pieces.map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("(.+?)");
  return {
    names: [...text.matchAll(/\{(\w+)\}/g)].map((one) => one[1]),
    first: pieces[0],
    last: pieces.at(-1),
    letters: pieces.join("").length,
    regex: new RegExp(`^${source}$`, "su"),
    text,
  };
}

function translated(text) {
  // an English text as it is drawn; itself where nobody knows it
  if (!words) return text;
  const core = text.trim();
  if (!core || core.length > LONGEST || !/\p{L}/u.test(core)) return text;
  let said = words.get(core) ?? known.get(core);
  if (said === undefined) said = keep(known, core, matched(core));
  return said === core ? text : text.replace(core, () => said);
}

function matched(core) {
  const parts = core.split(" · "); // facts side by side: no sentence reaches over two, unless none is known
  if (parts.length < 2) return sentence(core);
  const said = parts.map((part) => translated(part)).join(" · ");
  return said === core ? sentence(core) : said;
}

function sentence(core) {
  for (const { names, first, last, regex, text } of patterns) {
    if (!core.startsWith(first) || !core.endsWith(last)) continue;
    const found = regex.exec(core);
    if (!found) continue;
    return fill(
      words.get(text),
      Object.fromEntries(names.map((name, i) => [name, words.get(found[i + 1]) ?? found[i + 1]])),
    );
  }
  const hint = /^(.+)( \([^()\p{Ll}]{1,14}\))$/su.exec(core); // a key, as in "Download (D)"
  return hint && words.has(hint[1]) ? words.get(hint[1]) + hint[2] : core;
}

// What `now` should read. `kept` is what we put there, with its English; anything else was put there by somebody else since.
function reading(now, kept) {
  const english = kept && kept.shown === now ? kept.english : now;
  const from = made.get(english.trim());
  if (from)
    return { english, shown: english.replace(english.trim(), () => fill(words?.get(from[0]) ?? from[0], from[1])) };
  return { english, shown: translated(english) };
}

const foreign = (element) => !element || element.closest("[translate=no], script, style");

function text(node) {
  const parent = node.parentElement;
  if (!node.data.trim() || foreign(parent) || parent.closest("pre, code, textarea, [contenteditable=true]")) return;
  const said = reading(node.data, nodes.get(node));
  if (said.shown === said.english) nodes.delete(node);
  else nodes.set(node, said);
  if (said.shown !== node.data) node.data = said.shown;
}

function attributes(element) {
  let kept = elements.get(element);
  for (const name of ATTRIBUTES) {
    const now = element.getAttribute(name);
    if (!now) continue;
    const said = reading(now, kept?.[name]);
    if (said.shown !== said.english) elements.set(element, (kept = { ...kept, [name]: said }));
    else if (kept) delete kept[name];
    if (said.shown !== now) element.setAttribute(name, said.shown);
  }
}

function walk(root) {
  if (root.nodeType === Node.TEXT_NODE) {
    text(root);
    return;
  }
  if (root.nodeType !== Node.ELEMENT_NODE || foreign(root)) return;
  attributes(root);
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, {
    acceptNode: (node) =>
      node.nodeType === Node.ELEMENT_NODE &&
      ((node.translate === false && node.getAttribute("translate") === "no") ||
        node.localName === "script" ||
        node.localName === "style")
        ? NodeFilter.FILTER_REJECT
        : NodeFilter.FILTER_ACCEPT,
  });
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) text(node);
    else attributes(node);
  }
}

function settle() {
  frame = 0;
  const now = waiting;
  waiting = new Set();
  for (const node of now) if (node.isConnected) walk(node);
}

// Gradio keeps what a menu shows in a text field, which is what it sends: the translation is laid over it.
function menus() {
  if (document.hidden) return;
  for (const field of document.querySelectorAll(".gradio-container input:is([role=combobox], [role=listbox])")) {
    const place = field.parentElement;
    const said =
      document.activeElement === field || foreign(field) || field.closest("#easel-model")
        ? field.value
        : translated(field.value);
    if (said === field.value) {
      if (place.dataset.said) delete place.dataset.said;
      if (field.hasAttribute("aria-description")) field.removeAttribute("aria-description");
    } else if (place.dataset.said !== said) {
      place.dataset.said = said;
      field.setAttribute("aria-description", said); // for who hears the page; the value itself is Gradio's
    }
  }
}
let looking = 0;

const observer = new MutationObserver((records) => {
  for (const record of records) {
    if (record.type === "childList") record.addedNodes.forEach((node) => waiting.add(node));
    else waiting.add(record.target);
  }
  frame ||= document.hidden ? setTimeout(settle, 0) : requestAnimationFrame(settle);
});

// Draws the whole page in a language: {code, words}, or null for English.
i18n.use = function (language) {
  const before = words;
  words = language ? new Map(Object.entries(language.words)) : null;
  known = new Map();
  patterns = language
    ? Object.keys(language.words)
        .filter((one) => /\{\w+\}/.test(one))
        .map(compiled)
        .filter(Boolean)
        .sort((one, other) => other.letters - one.letters)
    : [];
  this.language = language ? language.code : "en";
  document.documentElement.lang = this.language;
  if (!before && !words) return;
  observer.disconnect();
  walk(document.body);
  if (words)
    observer.observe(document.body, {
      subtree: true,
      childList: true,
      characterData: true,
      attributeFilter: ATTRIBUTES,
    });
  clearInterval(looking);
  if (words) looking = setInterval(menus, 300);
  menus();
  document.dispatchEvent(new CustomEvent("easel-language", { detail: this.language }));
};

// Everything on the page that is ours to say and that the language does not know, for the tests.
i18n.missing = function (seen = () => true) {
  const found = new Set();
  const check = (now, kept) => {
    const english = (kept && kept.shown === now ? kept.english : now).trim();
    if (!/\p{L}/u.test(english) || /^[\d.,]+ ?(s|ms|px)$/.test(english)) return;
    const plain = english.replace(/ \([^()]{1,14}\)$/u, "");
    if ([english, plain].some((one) => made.has(one) || words.has(one))) return;
    const parts = english.split(" · ");
    if (parts.length > 1) {
      parts.forEach((part) => check(part));
      return;
    }
    if (!patterns.some((one) => one.regex.test(english))) found.add(english);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
    if (foreign(element) || !seen(element)) continue;
    if (node.nodeType === Node.ELEMENT_NODE) {
      for (const name of ATTRIBUTES)
        if (node.getAttribute(name)) check(node.getAttribute(name), elements.get(node)?.[name]);
    } else if (!element.closest("pre, code, textarea")) check(node.data, nodes.get(node));
  }
  return [...found];
};

// The language for a visitor: their choice, else the studio's, else the browser's.
i18n.choice = function () {
  try {
    return localStorage.getItem("easel-language") || "";
  } catch {
    return "";
  }
};
i18n.wanted = function () {
  const asked = this.choice() || this.studio;
  const all = ["en", ...this.list.map((one) => one[0])];
  if (asked && asked !== "browser") return all.includes(asked) ? asked : "en";
  const whole = (tag) => {
    try {
      return new Intl.Locale(tag).maximize();
    } catch {
      return null;
    }
  };
  for (const tag of navigator.languages || [navigator.language]) {
    const mine = whole(tag);
    const fit =
      mine &&
      all.find((code) => {
        const one = whole(code);
        return one && one.language === mine.language && one.script === mine.script;
      });
    if (fit) return fit;
  }
  return "en";
};
i18n.choose = function (code) {
  // "" is the studio's choice again, "browser" the browser's
  try {
    if (code) localStorage.setItem("easel-language", code);
    else localStorage.removeItem("easel-language");
  } catch {
    /* private mode */
  }
  return this.load();
};
i18n.load = async function () {
  const code = this.wanted(),
    stamp = this.list.find((one) => one[0] === code)?.[2];
  if (code === "en") {
    if (this.language !== "en") this.use(null);
    return;
  }
  if (code === this.language && stamp === this.stamp) return;
  try {
    const answer = await fetch(`api/languages/${encodeURIComponent(code)}`);
    if (!answer.ok) return;
    const language = await answer.json();
    if (code !== this.wanted()) return;
    this.stamp = stamp;
    if (!document.body) await new Promise((go) => document.addEventListener("DOMContentLoaded", go, { once: true }));
    this.use(language);
  } catch {
    /* it stays as it is */
  }
};
