// The Models tab (webui/ui/models.py): search, kinds, cards (models-grid.js), one file (models-sheet.js), downloads
// (models-fetch.js).

import { ask } from "./api.js";
import { node, setText } from "./dom.js";
import { chooseTab } from "./gradio.js";
import { t } from "./i18n.js";
import { icon, iconButton } from "./icons.js";
import { recall, remember } from "./memory.js";
import { edits, kindNames } from "./models-ask.js";
import { downloads } from "./models-fetch.js";
import { modelsGrid } from "./models-grid.js";
import { insertModel, toTask } from "./models-insert.js";
import { openSheet } from "./models-sheet.js";
import { toast } from "./overlays.js";

export const MODELS_MS = 3000;

const downloadsView = { asked: false, show() {} }; // asked for, perhaps before the tab was drawn

/** Shows the list of models that can be had. */
export function openDownloads() {
  downloadsView.asked = true;
  chooseTab(document.querySelector(".easel-tabs"), "models");
  downloadsView.show();
}

export function modelsTab(element, trigger) {
  const $ = (selector) => element.querySelector(selector);
  const state = { kind: "", words: "", sort: "name", ...recall("models", {}) };
  const spoken = $("[aria-live]"),
    note = $(".models-note"),
    chips = $(".models-kinds"),
    bar = $(".models-bar");
  let version = -1,
    timer = 0,
    asking = false,
    counted = "",
    begun = false;

  const grid = modelsGrid($(".models-grid"), {
    open: (file) =>
      openSheet(file, {
        use,
        changed: (now) => {
          grid.put(now);
          check(true);
        },
      }),
    use,
    told,
    wrong: (error) => empty(error.message, true),
  });

  function say(text) {
    if (text && spoken.textContent !== text) setText(spoken, text);
  }

  async function use(file) {
    if (file.kind !== "checkpoint") {
      await edits.written; // words that are still on their way
      insertModel(edits.ids.has(file.id) ? await ask("api/models/files/" + file.id).catch(() => file) : file);
      return;
    }
    trigger("choose", { name: file.name });
    toast(t("{name} is the model now.", { name: file.name }), { label: t("To the prompt"), act: () => toTask() }, 6);
  }

  // --- Search ---

  const box = node("label", { class: "gallery-words models-words" });
  const words = node("input", {
    type: "search",
    placeholder: t("Search models"),
    "aria-label": t("Search models"),
    autocomplete: "off",
    spellcheck: "false",
    translate: "no",
  });
  words.value = state.words;
  box.append(icon("search"), words);
  words.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      state.words = words.value.trim();
      find();
    }, 150);
  });
  const sort = node("select", { "aria-label": t("Sort by") });
  for (const [value, label] of [
    ["name", t("By name")],
    ["newest", t("Newest first")],
    ["size", t("Largest first")],
  ])
    sort.append(node("option", { value }, label));
  sort.value = state.sort;
  sort.addEventListener("change", () => {
    state.sort = sort.value;
    find();
  });
  const rescan = iconButton(
    "again",
    t("Rescan"),
    async () => {
      rescan.disabled = true;
      try {
        const { total } = await ask("api/models/rescan", "POST");
        await grid.again();
        say(t("{number} files", { number: total }));
      } catch (error) {
        toast(error.message, null, 8);
      }
      rescan.disabled = false;
    },
    { title: t("Look at the models folders anew") },
  );
  bar.append(box, sort, rescan);

  const buttons = new Map();
  for (const [kind, label] of [["", t("All")], ...Object.entries(kindNames())]) {
    const chip = node("button", { type: "button", "aria-pressed": "false" });
    chip.append(node("span", {}, label), node("small", { translate: "no" }));
    chip.addEventListener("click", () => {
      state.kind = kind;
      find();
    });
    buttons.set(kind, chip);
    chips.append(chip);
  }

  function find() {
    remember("models", state);
    for (const [kind, chip] of buttons) chip.setAttribute("aria-pressed", String(kind === state.kind));
    const { kind, words: asked, sort: order } = state;
    grid.show({ kind, words: asked, sort: order });
  }

  function told(found) {
    version = found.version;
    const all = Object.values(found.counts).reduce((sum, one) => sum + one, 0);
    for (const [kind, chip] of buttons) {
      const number = kind ? found.counts[kind] : all;
      setText(chip.lastElementChild, number.toLocaleString());
      chip.hidden = Boolean(kind) && !number && kind !== state.kind;
    }
    if (found.total) note.hidden = true;
    else if (state.words) empty(t("Nothing found for “{words}”.", { words: state.words }));
    else empty(t("There is nothing here yet. Put files into the models folder, or download some."));
    const sentence = found.total === 1 ? t("1 file") : t("{number} files", { number: found.total });
    if (sentence !== counted) say((counted = sentence));
  }

  function empty(sentence, again = false) {
    note.hidden = false;
    note.replaceChildren(node("p", {}, sentence));
    if (again) note.append(iconButton("again", t("Try again"), () => grid.again()));
    else if (!state.words) note.append(iconButton("download", t("Downloads"), () => show("downloads")));
  }

  // --- Files or downloads ---

  const views = [...element.querySelectorAll("[data-view]")];
  const fetching = downloads($(".models-downloads"), {
    busy: (number) => {
      setText(views[1], number ? t("Downloads ({number})", { number }) : t("Downloads"));
    },
    said: (sentence, arrived = false) => {
      say(sentence);
      if (arrived) {
        toast(sentence, null, 6);
        check(true);
      }
    },
  });
  function show(view) {
    for (const one of views) one.setAttribute("aria-pressed", String(one.dataset.view === view));
    $(".models-files").hidden = bar.hidden = view !== "files";
    $(".models-downloads").hidden = view !== "downloads";
    if (view === "files") grid.draw();
    else fetching.load();
  }
  for (const one of views) one.addEventListener("click", () => show(one.dataset.view));

  downloadsView.show = () => {
    if (!downloadsView.asked) return;
    downloadsView.asked = false;
    show("downloads");
    views[1].focus();
  };
  downloadsView.show();

  // --- In step with the server ---

  async function check(now = false) {
    if (asking || !element.isConnected || (!grid.seen() && !now) || document.hidden) return;
    asking = true;
    try {
      const found = (await ask("api/models/version")).version;
      if (found !== version) await grid.again();
      grid.mark();
    } catch {
      /* the next time, then */
    } finally {
      asking = false;
    }
  }
  setInterval(check, MODELS_MS);
  new IntersectionObserver(([entry]) => {
    if (!entry.isIntersecting) return;
    if (!begun) {
      begun = true;
      find();
    } else {
      grid.draw();
      check();
    }
  }).observe(element);
}
