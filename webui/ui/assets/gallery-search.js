// What the Gallery looks for: words, filters, days. Kept for this browser tab.
"use strict";
window.Easel = window.Easel || {};
Easel.pictures = Easel.pictures || {};

Easel.pictures.WAIT_MS = 150;  // after the last key
Easel.pictures.NOTHING = { words: "", model: "", sampler: "", task: "", when: "", from: "", to: "", favourites: false, trash: false };

// The days that a choice means, both ISO or "".
Easel.pictures.days = function ({ when, from, to }, today) {
  const { later } = Easel.pictures;
  const weekday = (new Date(today + "T12:00:00Z").getUTCDay() + 6) % 7;  // Monday is 0
  switch (when) {
    case "today": return [today, ""];
    case "week": return [later(today, -weekday), ""];
    case "month": return [today.slice(0, 8) + "01", ""];
    case "days": return from && to && from > to ? [to, from] : [from, to];
    default: return ["", ""];
  }
};

// Fills `bar` with the search's controls. `changed(search)` hears what the server is to be asked; `tasks` are the labels of
// tasks by their names. Gives {search(), filter(facets), clear(), focus(), isNarrow()}.
Easel.pictures.search = function (bar, tasks, changed) {
  const { NOTHING, WAIT_MS } = Easel.pictures;
  const state = { ...NOTHING, ...Easel.recall("gallery", {}) };
  let timer = 0, asked = "";

  const box = Easel.node("label", { class: "gallery-words" });
  const words = Easel.node("input", { type: "search", maxlength: 1000, placeholder: Easel.t("Search in prompts"), autocomplete: "off",
    spellcheck: "false", "aria-label": Easel.t("Search in prompts"), "aria-keyshortcuts": "/", translate: "no" });
  box.append(Easel.icon("search"), words, Easel.node("kbd", { "aria-hidden": "true" }, "/"));

  const menus = {};
  const menu = (name, label) => {
    menus[name] = Easel.node("select", { "aria-label": label, name, ...(name === "when" ? {} : { translate: "no" }) });
    menus[name].addEventListener("change", () => { state[name] = menus[name].value; now(); });
    return menus[name];
  };
  const option = (value, text, own = false) => Easel.node("option", own ? { value, translate: "no" } : { value }, text);
  const any = { model: Easel.t("Any model"), sampler: Easel.t("Any sampler"), task: Easel.t("Any task") };

  const day = (name, label) => {
    const made = Easel.node("input", { type: "date", "aria-label": label, class: "gallery-date" });
    made.addEventListener("change", () => { state[name] = made.value; now(); });
    return made;
  };
  const from = day("from", Easel.t("From day")), to = day("to", Easel.t("To day"));

  const flip = (name, label, icon) => {
    const made = Easel.iconButton(icon, label, () => { state[name] = !state[name]; now(); });
    made.setAttribute("aria-pressed", "false");
    return made;
  };
  const favourites = flip("favourites", Easel.t("Favourites"), "star"), trash = flip("trash", Easel.t("Trash"), "trash");
  const clear = Easel.iconButton("close", Easel.t("Clear all"), () => api.clear());
  clear.classList.add("gallery-clear");

  const filters = Easel.node("div", { class: "gallery-filters", role: "group", "aria-label": Easel.t("Filters") });
  const top = Easel.iconButton("up", Easel.t("To the top"), () => window.scrollTo({ top: 0, behavior: "instant" }), { plain: true });
  top.classList.add("gallery-top");
  filters.append(menu("model", Easel.t("Model")), menu("sampler", Easel.t("Sampler")), menu("task", Easel.t("Task")),
    menu("when", Easel.t("Date")), from, to, favourites, trash, clear);
  for (const [value, text] of [["", "Any date"], ["today", "Today"], ["week", "This week"], ["month", "This month"], ["days", "Choose days…"]]) {
    menus.when.append(option(value, Easel.t(text)));
  }
  bar.append(box, filters, top);

  function options(name, counted, told = true) {
    const label = (value) => name === "task" ? tasks[value] || value : value;
    const some = counted.filter(([value]) => value);
    if (state[name] && !some.some(([value]) => value === state[name])) some.push([state[name], 0]);
    const made = some.map(([value, number]) => option(value, `${label(value)} (${number.toLocaleString()})`, true));
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
    Easel.remember("gallery", state);
    const search = api.search(), key = JSON.stringify(search);
    if (key === asked) return;
    asked = key;
    changed(search);
  }

  const api = {
    search() {
      const [from_day, to_day] = Easel.pictures.days(state, Easel.pictures.day(new Date()));
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
    focus() { words.focus(); words.select(); },
    isNarrow: () => JSON.stringify({ ...state, words: state.words.trim() }) !== JSON.stringify(NOTHING),
    words: () => state.words,
    start: now,
    again() { asked = ""; now(); },
  };

  words.addEventListener("input", () => {
    state.words = words.value.trim();
    clearTimeout(timer);
    timer = setTimeout(now, WAIT_MS);
  });
  words.addEventListener("keydown", (event) => {
    if (event.key === "Enter") now();
    else if (event.key === "Escape" && words.value) { words.value = state.words = ""; now(); event.preventDefault(); }
  });
  for (const name of ["model", "sampler", "task"]) options(name, [], false);
  return api;
};
