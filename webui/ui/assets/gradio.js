// Where the page touches Gradio's own page: what is here is Gradio 6.31's, and in no API of it. Each function has its test in
// tests/ui/test_couplings.py.

import { fitting } from "./codes.js";
import { named } from "./i18n.js";

// A component's text with a key (webui/ui/translations.py) stands in Gradio's configuration as a marker.
const MARKER = /^__i18n__(\{.*\})$/s;
const PREFIX = "easel:";

const core = () => document.querySelector("meta[name=easel-gradio]")?.content ?? "";
const config = () => window.gradio_config ?? {};
const english = () => config().i18n_translations?.en ?? {};

// What Gradio shows for a text of its configuration.
export function gradioText(text) {
  const marked = MARKER.exec(text);
  return String(marked ? named(JSON.parse(marked[1]).key.slice(PREFIX.length)) : text);
}

/** @type {(value?: unknown) => void} */
let drawn = () => {};
const isDrawn = new Promise((done) => {
  drawn = done;
});

// Gradio has drawn its first tab: until then it chooses the browser's language.
export const gradioIsDrawn = () => drawn();

const DRAWS_MS = 50; // that Gradio takes to draw what has changed
let before = "";

// Draws what Gradio has drawn, and all that it will draw, in a language: `words` say everything that has a key, Gradio's own
// words come with it.
export async function drawGradioIn(code, words) {
  if (!before && code === "en" && /^en\b/.test(navigator.language)) return; // that it speaks already
  before = code;
  await isDrawn;
  const { changeLocale, load_translations, process_langs } = await import(new URL(core(), document.baseURI).href);
  const theirs = process_langs();
  const like = fitting([code], Object.keys(theirs));
  const own = Object.entries(english()).map(([key, text]) => [key, words[text] ?? text]);
  load_translations({
    processed_langs: like && like !== code ? { [code]: theirs[like] } : {},
    custom_translations: { [code]: Object.fromEntries(own) },
  });
  if (theirs[like]?.type === "lazy") await theirs[like].data(); // Gradio's own words are there then, and come with ours
  if (before !== code) return; // another was chosen meanwhile
  changeLocale(code);
  labelTabs();
  await new Promise((go) => setTimeout(go, DRAWS_MS));
}

// Of a tab that nobody has opened yet Gradio draws the label once.
function labelTabs() {
  for (const { type, props } of config().components ?? []) {
    if (type !== "tabitem") continue;
    for (const tab of document.querySelectorAll(`[role=tab][data-tab-id="${CSS.escape(props.id)}"]`)) {
      const text = [...tab.childNodes].find((one) => one instanceof Text && one.data.trim());
      if (text) /** @type {Text} */ (text).data = gradioText(props.label);
    }
  }
}
