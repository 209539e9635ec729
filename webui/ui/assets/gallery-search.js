// What the Gallery looks for: words, filters, days. Kept for this browser tab.

import { dayOf, days } from "./days.js";
import { node } from "./dom.js";
import { named, t } from "./i18n.js";
import { icon, iconButton } from "./icons.js";
import { recall, remember } from "./memory.js";

export const WAIT_MS = 150; // after the last key
export const NOTHING = {
  words: "",
  model: "",
  sampler: "",
  task: "",
  when: "",
  from: "",
  to: "",
  favourites: false,
  trash: false,
};

// Fills `bar` with the search's controls. `changed(search)` hears what the server is to be asked; `tasks` are the labels of
// tasks by their names. Gives {search(), filter(facets), clear(), focus(), isNarrow()}.
export function gallerySearch(bar, tasks, changed) {
  const state = { ...NOTHING, ...recall("gallery", {}) };
  let timer = 0,
    asked = "";

  const box = node("label", { class: "gallery-words" });
  const words = node("input", {
    type: "search",
    maxlength: 1000,
    placeholder: t("Search in prompts"),
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": t("Search in prompts"),
    "aria-keyshortcuts": "/",
    translate: "no",
  });
  box.append(icon("search"), words, node("kbd", { "aria-hidden": "true" }, "/"));

  const menus = {};
  const menu = (name, label) => {
    menus[name] = node("select", { "aria-label": label, name, ...(name === "when" ? {} : { translate: "no" }) });
    menus[name].addEventListener("change", () => {
      state[name] = menus[name].value;
      now();
    });
    return menus[name];
  };
  const option = (value, text, own = false) => node("option", own ? { value, translate: "no" } : { value }, text);
  const any = { model: t("Any model"), sampler: t("Any sampler"), task: t("Any task") };

  const day = (name, label) => {
    const made = node("input", { type: "date", "aria-label": label, class: "gallery-date" });
    made.addEventListener("change", () => {
      state[name] = made.value;
      now();
    });
    return made;
  };
  const from = day("from", t("From day")),
    to = day("to", t("To day"));

  const flip = (name, label, icon) => {
    const made = iconButton(icon, label, () => {
      state[name] = !state[name];
      now();
    });
    made.setAttribute("aria-pressed", "false");
    return made;
  };
  const favourites = flip("favourites", t("Favourites"), "star"),
    trash = flip("trash", t("Trash"), "trash");
  const clear = iconButton("close", t("Clear all"), () => api.clear());
  clear.classList.add("gallery-clear");

  const filters = node("div", { class: "gallery-filters", role: "group", "aria-label": t("Filters") });
  const top = iconButton("up", t("To the top"), () => window.scrollTo({ top: 0, behavior: "instant" }), {
    plain: true,
  });
  top.classList.add("gallery-top");
  filters.append(
    menu("model", t("Model")),
    menu("sampler", t("Sampler")),
    menu("task", t("Task")),
    menu("when", t("Date")),
    from,
    to,
    favourites,
    trash,
    clear,
  );
  for (const [value, text] of [
    ["", t("Any date")],
    ["today", t("Today")],
    ["week", t("This week")],
    ["month", t("This month")],
    ["days", t("Choose days…")],
  ]) {
    menus.when.append(option(value, text));
  }
  bar.append(box, filters, top);

  function options(name, counted, told = true) {
    const label = (value) => (name === "task" && tasks[value] ? named(tasks[value]) : value);
    const some = counted.filter(([value]) => value);
    if (state[name] && !some.some(([value]) => value === state[name])) some.push([state[name], 0]);
    const made = some.map(([value, number]) =>
      option(value, t("{label} ({number})", { label: label(value), number: number.toLocaleString() }), true),
    );
    const drawn = [option("", any[name]), ...made];
    if (drawn.map((one) => one.textContent).join() !== [...menus[name].options].map((one) => one.textContent).join()) {
      menus[name].replaceChildren(...drawn);
    }
    menus[name].value = state[name];
    menus[name].hidden = !drawn[1] && told;
  }

  function show() {
    if (words.value.trim() !== state.words) words.value = state.words;
    for (const [name, made] of Object.entries(menus)) {
      made.value = state[name];
      made.dataset.set = state[name] ? "yes" : "";
    }
    [from.value, to.value] = [state.from, state.to];
    from.hidden = to.hidden = state.when !== "days";
    favourites.setAttribute("aria-pressed", String(state.favourites));
    trash.setAttribute("aria-pressed", String(state.trash));
    clear.hidden = !api.isNarrow();
  }

  function now() {
    clearTimeout(timer);
    show();
    remember("gallery", state);
    const search = api.search(),
      key = JSON.stringify(search);
    if (key === asked) return;
    asked = key;
    changed(search);
  }

  const api = {
    search() {
      const [from_day, to_day] = days(state, dayOf(new Date()));
      const { words: text, model, sampler, task, favourites: only, trash: thrown } = state;
      return { words: text, model, sampler, task, from_day, to_day, favourites: only, trash: thrown };
    },
    filter(facets) {
      for (const name of ["model", "sampler", "task"]) options(name, facets[name] || []);
    },
    clear() {
      Object.assign(state, NOTHING);
      now();
      words.focus();
    },
    focus() {
      words.focus();
      words.select();
    },
    isNarrow: () => JSON.stringify({ ...state, words: state.words.trim() }) !== JSON.stringify(NOTHING),
    words: () => state.words,
    start: now,
    again() {
      asked = "";
      now();
    },
  };

  words.addEventListener("input", () => {
    state.words = words.value.trim();
    clearTimeout(timer);
    timer = setTimeout(now, WAIT_MS);
  });
  words.addEventListener("keydown", (event) => {
    if (event.key === "Enter") now();
    else if (event.key === "Escape" && words.value) {
      words.value = state.words = "";
      now();
      event.preventDefault();
    }
  });
  for (const name of ["model", "sampler", "task"]) options(name, [], false);
  return api;
}
