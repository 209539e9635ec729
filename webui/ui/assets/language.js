// Which language the page speaks: the visitor's choice, else the studio's, else the browser's.

import { fitting } from "./codes.js";
import { drawAnew } from "./dom.js";
import { drawGradioIn } from "./gradio.js";
import { speak } from "./i18n.js";

export const language = { code: "en", list: [], studio: "", ready: false }; // list: [code, name, stamp]
let stamp = "";

// Says the whole page in a language: {code, words}, or null for English.
export async function use(other) {
  const { code, words } = other || { code: "en", words: {} };
  language.code = code;
  speak(words);
  drawAnew();
  document.documentElement.lang = code;
  await drawGradioIn(code, words);
  if (language.code !== code) return; // another was chosen meanwhile
  document.documentElement.lang = code;
  document.dispatchEvent(new CustomEvent("easel-language", { detail: code }));
}

export function languageChoice() {
  try {
    return localStorage.getItem("easel-language") || "";
  } catch {
    return "";
  }
}

function wanted() {
  const asked = languageChoice() || language.studio;
  const all = ["en", ...language.list.map((one) => one[0])];
  if (asked && asked !== "browser") return all.includes(asked) ? asked : "en";
  return fitting(navigator.languages || [navigator.language], all) || "en";
}

export function chooseLanguage(code) {
  // "" is the studio's choice again, "browser" the browser's
  try {
    if (code) localStorage.setItem("easel-language", code);
    else localStorage.removeItem("easel-language");
  } catch {
    /* private mode */
  }
  return loadLanguage();
}

export async function loadLanguage() {
  const code = wanted(),
    newest = language.list.find((one) => one[0] === code)?.[2] ?? "";
  if (code === language.code && newest === stamp) return;
  try {
    let found = null;
    if (code !== "en") {
      const answer = await fetch(`api/languages/${encodeURIComponent(code)}`);
      if (!answer.ok) return;
      found = await answer.json();
    }
    if (code !== wanted()) return;
    stamp = newest;
    await use(found);
  } catch {
    /* it stays as it is */
  }
}
