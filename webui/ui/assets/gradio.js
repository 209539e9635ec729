// Gradio's page from the inside, all of it that ours leans on: what its components are drawn as, and what it does with values.
// Gradio documents none of this, so each function here has a test that says what breaks (tests/ui/test_gradio_js.py); the
// styles that lean on the same are in gradio.css.

import { fitting } from "./codes.js";
import { named } from "./i18n.js";

// --- Fields ---------------------------------------------------------------------------------------

/** @typedef {"text" | "number" | "menu" | "switch"} FieldKind */

/** @type {Record<FieldKind, string>} */
const FIELDS = {
  text: "textarea, input",
  number: "input[type=number]",
  menu: "input",
  switch: "input[type=checkbox]",
};

/**
 * What somebody types into or ticks, of a component by its id, or of one inside an element; null where Gradio has not drawn it.
 * A menu's field holds the label of its choice.
 * @param {string | Element | null} component
 * @param {FieldKind} kind
 * @returns {any}
 */
export function fieldOf(component, kind) {
  const place = typeof component === "string" ? document.getElementById(component) : component;
  if (!place) return null;
  return place.matches(FIELDS[kind]) ? place : place.querySelector(FIELDS[kind]);
}

/**
 * Sets a field as if somebody had typed: Gradio hears of it.
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @param {string | number} value
 */
export function fillField(field, value) {
  const kind = field instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(kind.prototype, "value")?.set?.call(field, value);
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

// --- Values ---------------------------------------------------------------------------------------

/**
 * What a function of `js=` gives for a component: some of its properties new, the others as they are.
 * @param {Record<string, unknown>} [properties]
 */
export function updated(properties = {}) {
  return { ...properties, __type__: "update" };
}

/**
 * The value of a component that always has some property, or the one before it: Gradio turns one that it has handed over into
 * "nothing has changed" where the two come at once.
 * @template {Record<string, any>} Value
 * @param {any} value
 * @param {string} property
 * @param {Value} before
 * @returns {Value}
 */
export function heldValue(value, property, before) {
  return value?.[property] ? { ...value } : before;
}

/**
 * By component what Gradio drew at first: its value, limits and choices.
 * @returns {Map<string, Record<string, any>>}
 */
export function firstDrawn() {
  const { components = [] } = /** @type {any} */ (window).gradio_config ?? {};
  /** @type {Record<string, any>[]} */
  const drawn = components.map((/** @type {any} */ one) => ({ ...one.props }));
  return new Map(drawn.filter((one) => one.elem_id).map((one) => [one.elem_id, one]));
}

const FRAMES = 3;

/**
 * Calls `act` when what Gradio has drawn later than the page has its values for good. It gets its first ones once more in the
 * frame after: what somebody typed before that would be lost.
 * @param {() => void} act
 */
export function whenSettled(act) {
  let left = FRAMES;
  const wait = () => (left-- ? requestAnimationFrame(wait) : act());
  wait();
}

// --- Places ---------------------------------------------------------------------------------------

/**
 * The button that an accordion is opened by, with its title in a span.
 * @param {Element} accordion
 * @returns {HTMLButtonElement | null}
 */
export function openerOf(accordion) {
  return accordion.querySelector(":scope > button");
}

/**
 * Whether an accordion is open for Gradio: what stands in it is drawn.
 * @param {Element} accordion
 */
export function isDrawn(accordion) {
  return openerOf(accordion)?.classList.contains("open") ?? false;
}

/**
 * The triangle in an accordion's button is read out by nobody: it is a sign, and the button says whether it is open.
 * @param {Element} accordion
 */
export function hushSign(accordion) {
  openerOf(accordion)?.querySelector(":scope > .icon")?.setAttribute("aria-hidden", "true");
}

/** Numbers and sliders are called as their label says, not "number input for" it. */
export function nameNumbers() {
  for (const field of document.querySelectorAll(
    ":is([data-testid=number-input], [data-testid=range-input])[aria-label]",
  )) {
    const label = field.closest(".block")?.querySelector("[data-testid=block-info]")?.textContent.trim();
    if (label && field.getAttribute("aria-label") !== label) field.setAttribute("aria-label", label);
  }
}

/**
 * The tab that shows an element, and the panel that it opens.
 * @param {Element} element
 * @returns {{tab: HTMLElement | null, panel: HTMLElement | null}}
 */
export function tabOf(element) {
  const panel = /** @type {HTMLElement | null} */ (element.closest("[role=tabpanel]"));
  const named = panel && document.getElementById(panel.getAttribute("aria-labelledby") || "");
  const tab = named || document.querySelector(`[role=tab][aria-controls="${CSS.escape(panel?.id || "")}"]`);
  return { tab: /** @type {HTMLElement | null} */ (tab), panel };
}

/**
 * The tab that is chosen, in the bar of those inside an element. The bar scrolls.
 * @param {Element | null} tabs
 * @returns {HTMLElement | null}
 */
export function chosenTab(tabs) {
  return tabs?.querySelector(":scope > .tab-wrapper [role=tab][aria-selected=true]") ?? null;
}

/**
 * What the chosen tab shows.
 * @param {Element} tabs
 * @returns {HTMLElement | null}
 */
export function panelOf(tabs) {
  const all = /** @type {HTMLElement[]} */ ([...tabs.querySelectorAll(":scope > [role=tabpanel]")]);
  return all.find((one) => one.offsetParent) ?? null;
}

/**
 * Puts a button at the end of the bar of tabs, in the row and no tab of it.
 * @param {Element} tabs
 * @param {HTMLElement} button
 */
export function besideTabs(tabs, button) {
  barOf(tabs).after(button);
}

/** @param {Element} tabs */
const barOf = (tabs) => tabs.querySelector(":scope > .tab-wrapper > [role=tablist]");

/**
 * The tabs in the bar of those inside an element, in their order.
 * @param {Element} tabs
 * @returns {{ id: string, tab: HTMLElement, chosen: boolean }[]}
 */
export function tabsOf(tabs) {
  const all = /** @type {HTMLElement[]} */ ([...(barOf(tabs)?.querySelectorAll("[role=tab]") ?? [])]);
  return all.map((tab) => ({
    id: tab.dataset.tabId ?? "",
    tab,
    chosen: tab.getAttribute("aria-selected") === "true",
  }));
}

/**
 * Calls `act` whenever a tab is chosen, by whomever, or the bar is drawn anew.
 * @param {Element} tabs
 * @param {() => void} act
 */
export function onTabs(tabs, act) {
  const watched = { subtree: true, childList: true, attributeFilter: ["aria-selected", "data-tab-id"] };
  new MutationObserver(act).observe(barOf(tabs), watched);
}

/**
 * Chooses a tab, as soon as Gradio listens.
 * @param {Element} tabs
 * @param {string} id
 */
export function chooseTab(tabs, id) {
  const found = tabsOf(tabs).find((one) => one.id === id);
  if (!found || found.chosen) return;
  found.tab.click();
  requestAnimationFrame(() => chooseTab(tabs, id));
}

/**
 * Where something that lies over the page belongs: Gradio gives our rules to what is inside of it.
 * @returns {Element}
 */
export function rootOfStyles() {
  return document.querySelector(".gradio-container .contain") || document.body;
}

/**
 * The bar of those tabs, which scrolls.
 * @param {Element | null} tabs
 * @returns {Element | null}
 */
export function barOfTabs(tabs) {
  return tabs?.querySelector(":scope > .tab-wrapper") ?? null;
}

// --- Messages -------------------------------------------------------------------------------------

/**
 * Hands on what Gradio would show over the page, whose own boxes stay out of sight (gradio.css): what `say` of
 * webui/ui/gradio_adapter.py was told, `ours`, or words of Gradio's.
 * @param {(told: any, ours: boolean) => void} act
 */
export function takeMessages(act) {
  const taken = new WeakSet();
  const look = () => {
    for (const one of document.querySelectorAll(".toast-wrap .toast-message-text")) {
      if (taken.has(one)) continue;
      taken.add(one);
      const text = one.textContent?.trim() ?? "";
      try {
        act(JSON.parse(text), true);
      } catch {
        act(text, false);
      }
    }
  };
  const wait = () => {
    const place = document.querySelector(".toast-wrap");
    if (!place) return requestAnimationFrame(wait);
    new MutationObserver(look).observe(place, { childList: true, subtree: true });
    return look();
  };
  wait();
}

// --- Words ----------------------------------------------------------------------------------------

// A component's text with a key (webui/ui/translations.py) stands in Gradio's configuration as a marker.
const MARKER = /^__i18n__(\{.*\})$/s;
const PREFIX = "easel:";

const core = () => document.querySelector("meta[name=easel-gradio]")?.content ?? "";
const config = () => window.gradio_config ?? {};
const english = () => config().i18n_translations?.en ?? {};

/**
 * What Gradio shows for a text of its configuration.
 * @param {string} text
 */
export function gradioText(text) {
  const marked = MARKER.exec(text);
  return String(marked ? named(JSON.parse(marked[1]).key.slice(PREFIX.length)) : text);
}

/** @type {(value?: unknown) => void} */
let tellDrawn = () => {};
const firstTab = new Promise((done) => {
  tellDrawn = done;
});

// Gradio has drawn its first tab: until then it chooses the browser's language.
export const gradioIsDrawn = () => tellDrawn();

const DRAWS_MS = 50; // that Gradio takes to draw what has changed
let before = "";

/**
 * Draws what Gradio has drawn, and all that it will draw, in a language: `words` say everything that has a key, Gradio's own
 * words come with it.
 * @param {string} code
 * @param {Record<string, string>} words
 */
export async function drawGradioIn(code, words) {
  if (!before && code === "en" && /^en\b/.test(navigator.language)) return; // that it speaks already
  before = code;
  await firstTab;
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

// --- Addresses ------------------------------------------------------------------------------------

const UPLOAD = "gradio_api/file=";

/**
 * The path of an upload behind an address of the page, relative to it; null for any other.
 * @param {string} address
 */
export function uploadAt(address) {
  if (!address.startsWith(UPLOAD)) return null;
  try {
    return decodeURIComponent(address.slice(UPLOAD.length));
  } catch {
    return null; // a % without its two digits
  }
}

/** Whether the address asks for light or dark, which Gradio answers. */
export function asksForTheme() {
  return new URLSearchParams(location.search).has("__theme");
}

/**
 * Whether the address asks for what programmers need, `?view=api`. Gradio shows that for a press of its button only, so its own
 * reading of the address is kept from it.
 */
export function takeApiView() {
  const asked = new URLSearchParams(location.search).get("view") === "api";
  if (asked) history.replaceState(null, "", location.pathname);
  return asked;
}

/** Opens what explains the endpoints, as soon as Gradio has drawn its button, which is out of sight. */
export function openApiView() {
  const button = /** @type {HTMLElement | null} */ (document.querySelector("footer .show-api"));
  if (button) button.click();
  else setTimeout(openApiView, 100);
}
