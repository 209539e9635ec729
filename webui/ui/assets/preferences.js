// The Settings tab, drawn from the schema that api/settings tells: groups, a search, what differs from the default. Everything is
// kept as it is changed.

import { reason } from "./api.js";
import { node, setText } from "./dom.js";
import { named, t } from "./i18n.js";
import { chooseLanguage, languageChoice } from "./language.js";
import "./preferences-defaults.js";
import { segments, selectMenu, settingControl } from "./preferences-controls.js";
import { loadStudio, theme } from "./theme.js";

export function preferences(element, trigger) {
  const SOON_MS = 500,
    SAVED_MS = 2500,
    AGAIN_MS = 3000;
  const root = element.querySelector(".easel-preferences");
  const rows = new Map(); // by the setting's name
  let told = null,
    onlyChanged = false;

  const head = node("header", { class: "prefs-head" });
  const search = node("input", {
    type: "search",
    class: "prefs-search",
    placeholder: t("Search settings"),
    "aria-label": t("Search settings"),
    autocomplete: "off",
    spellcheck: "false",
  });
  const only = node("button", {
    type: "button",
    class: "prefs-button prefs-only",
    "aria-pressed": "false",
    hidden: "",
  }); // until it has words
  const all = node("button", { type: "button", class: "prefs-button prefs-all", hidden: "" }, t("Reset all"));
  const saved = node("p", { class: "prefs-saved", role: "status" });
  head.append(node("h2", {}, t("Settings")), search, only, all, saved);
  const notes = node("div", { class: "prefs-notes" });
  const side = node("nav", { class: "prefs-side", "aria-label": t("Groups of settings") });
  const groups = node("div", { class: "prefs-groups" });
  const none = node("p", { class: "prefs-none", hidden: "" }, t("No setting fits."));
  const body = node("div", { class: "prefs-body" });
  body.append(side, groups);
  root.append(head, notes, body);

  const plainly = (told) => String(told).replace(/^\w+: /, ""); // the field is beside it
  let fading = 0;
  function say(text, undo) {
    saved.replaceChildren(node("span", {}, text));
    if (undo) {
      const back = node("button", { type: "button", class: "prefs-quiet" }, t("Undo"));
      back.addEventListener("click", undo);
      saved.append(" ", back);
    }
    clearTimeout(fading);
    fading = setTimeout(() => saved.replaceChildren(), undo ? 10_000 : SAVED_MS);
  }

  // One question at a time: an older answer must not come after a newer one, and what is asked next depends on what was answered.
  /** @type {Promise<any>} */
  let last = Promise.resolve();
  const turn = (work) => (last = last.then(work, work));
  const send = (values, name) => turn(() => put(values, name));

  async function put(values, name) {
    let answer, said;
    try {
      answer = await fetch("api/settings", {
        method: "PATCH",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(values),
      });
      said = await answer.json();
    } catch {
      said = { error: t("The server does not answer") };
    }
    if (!answer?.ok) {
      const row = rows.get(name) || rows.get(said.field);
      if (row) row.wrong(plainly(reason(said)));
      else say(reason(said));
      return false;
    }
    for (const one of Object.keys(values)) rows.get(one)?.wrong("");
    take(said);
    if ("own_defaults" in values) trigger("refresh", {});
    if ("look" in values || "language" in values) loadStudio();
    return true;
  }

  function row(setting) {
    const made = node("div", { class: "prefs-row", "data-name": setting.name });
    const words = node("div", { class: "prefs-words" }),
      place = node("div", { class: "prefs-place" });
    const title = node("h4"),
      mark = node("span", { class: "prefs-mark", title: t("Differs from the default") });
    title.append(node("span", {}, named(setting.label)), mark);
    words.append(title, node("p", { id: `setting-${setting.name}-info`, class: "prefs-info" }, named(setting.info)));
    const when = node("p", { class: "prefs-when" }),
      error = node("p", { class: "prefs-error", role: "alert", hidden: "" });
    let timer = 0,
      state = setting,
      chosen = 0; // `chosen`: how many changes of it wait for their turn
    const control = settingControl(
      setting,
      told,
      (value, soon) => {
        clearTimeout(timer);
        timer = setTimeout(
          () => {
            timer = 0;
            chosen += 1;
            turn(async () => {
              chosen -= 1;
              if (JSON.stringify(value) === JSON.stringify(state.value)) {
                wrong("");
                return;
              }
              if (await put({ [setting.name]: value }, setting.name)) say(t("Saved"));
            });
          },
          soon ? SOON_MS : 0,
        );
      },
      (sentence) => {
        clearTimeout(timer);
        timer = 0;
        wrong(plainly(sentence));
      },
    );
    const reset = node(
      "button",
      { type: "button", class: "prefs-quiet prefs-reset", title: t("Reset to the default") },
      t("Reset"),
    );
    reset.addEventListener("click", async () => {
      clearTimeout(timer);
      timer = 0;
      const before = state.value;
      wrong("");
      if (!(await send({ [setting.name]: null }, setting.name))) return;
      control.set(state.value);
      say(t("Reset"), async () => {
        if (await send({ [setting.name]: before }, setting.name)) {
          control.set(state.value);
          say(t("Saved"));
        }
      });
    });
    place.append(control.element, when, reset);
    made.append(words, place, error);

    function wrong(text) {
      setText(error, text);
      error.hidden = !text;
      if (text) control.field?.setAttribute("aria-invalid", "true");
      else control.field?.removeAttribute("aria-invalid");
    }
    function show(now, first = false) {
      const same = JSON.stringify(now.value) === JSON.stringify(state.value);
      state = now;
      made.dataset.changed = now.changed && !now.fixed ? "yes" : "";
      const fixed = Boolean(now.fixed);
      mark.hidden = !now.changed || fixed;
      reset.hidden = !now.changed || fixed || Boolean(told.locked);
      control.disable(fixed || Boolean(told.locked));
      if (first || (!same && !control.focused() && !timer && !chosen)) control.set(now.value);
      const said = fixed
        ? t("Fixed by the command line: {option}", { option: now.fixed })
        : now.waiting
          ? t("Takes effect after a restart")
          : now.restart
            ? t("Needs a restart")
            : "";
      if (when.textContent !== said) setText(when, said);
      when.hidden = !said;
      when.dataset.waiting = now.waiting && !fixed ? "yes" : "";
    }
    rows.set(setting.name, { element: made, show, wrong, state: () => state, set: () => control.set(state.value) });
    show(setting, true);
    return made;
  }

  function group(name, info, ...inside) {
    const made = node("section", { class: "prefs-group" });
    made.append(node("h3", {}, name), node("p", { class: "prefs-info" }, info), ...inside);
    const link = node("button", { type: "button", class: "prefs-link" }, name);
    link.addEventListener("click", () => {
      search.value = "";
      filter();
      made.scrollIntoView({
        block: "start",
        behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
      });
    });
    side.append(link);
    groups.append(made);
    near.observe(made);
    made.link = link;
  }

  const close = new Set();
  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries)
        if (entry.isIntersecting) close.add(entry.target);
        else close.delete(entry.target);
      const first = [...groups.children].find((one) => close.has(one));
      if (first)
        for (const one of groups.children)
          if (one.link) {
            if (one === first) one.link.setAttribute("aria-current", "true");
            else one.link.removeAttribute("aria-current");
          }
    },
    { rootMargin: "-64px 0px -55% 0px" },
  );

  // What is this browser's alone, and kept in it.
  function mine() {
    const look = segments(
      [
        [t("As set for everyone"), ""],
        [t("System"), "system"],
        [t("Light"), "light"],
        [t("Dark"), "dark"],
      ],
      (value) => theme.choose(value),
    );
    setText(look.element, t("Look"), "aria-label");
    look.set(theme.choice());
    document.addEventListener("click", (event) => {
      if (event.target.closest?.(".easel-theme")) setTimeout(() => look.set(theme.choice()));
    });
    const pairs = [
      [t("As set for everyone"), ""],
      [t("As the browser's"), "browser"],
      ["English", "en"],
      ...told.languages.map(([code, name]) => [name, code]),
    ];
    const language = selectMenu(
      pairs,
      (value) => chooseLanguage(value),
      pairs.slice(2).map(([, code]) => code),
    );
    setText(language.element, t("Language"), "aria-label");
    language.set(languageChoice());
    const line = (label, control) => {
      const made = node("div", { class: "prefs-row" }),
        words = node("div", { class: "prefs-words" }),
        place = node("div", { class: "prefs-place" });
      words.append(node("h4", {}, label));
      place.append(control.element);
      made.append(words, place);
      return made;
    };
    group(
      t("This browser"),
      t("Your own choice, kept in this browser."),
      line(t("Look"), look),
      line(t("Language"), language),
    );
  }

  function take(now) {
    const first = !told;
    told = now;
    if (first) {
      mine();
      for (const one of now.groups) group(named(one.name), named(one.info), ...one.settings.map(row));
      groups.append(none);
    }
    const states = now.groups.flatMap((one) => one.settings);
    if (!first) states.forEach((one) => rows.get(one.name)?.show(one));
    const waiting = states.filter((one) => one.waiting && !one.fixed),
      changed = states.filter((one) => one.changed && !one.fixed);
    const lines = [];
    if (now.locked)
      lines.push(
        node(
          "p",
          { class: "prefs-note" },
          now.locked_to
            ? t("Only the first login can change settings: {name}", { name: now.locked_to })
            : named(now.locked),
        ),
      );
    for (const problem of now.problems) {
      const note = node("p", { class: "prefs-note prefs-bad" });
      note.append(
        node("span", {}, t("In settings.json, and left out:")),
        " ",
        node("span", { translate: "no" }, problem),
      );
      lines.push(note);
    }
    if (waiting.length) {
      const note = node("p", { class: "prefs-note prefs-restart", role: "status" });
      note.append(node("strong", {}, t("Restart Easel to apply:")), " ");
      waiting.forEach((one, at) => note.append(at ? ", " : "", node("span", {}, named(one.label))));
      lines.push(note);
    }
    notes.replaceChildren(...lines);
    setText(only, t("Changed: {number}", { number: changed.length }));
    if (!changed.length) onlyChanged = false;
    only.hidden = !changed.length;
    filter();
  }

  function filter() {
    const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    only.setAttribute("aria-pressed", onlyChanged);
    all.hidden = !onlyChanged || Boolean(told?.locked);
    let any = false;
    for (const section of groups.querySelectorAll(".prefs-group")) {
      const title = section.querySelector("h3").textContent.toLowerCase();
      let some = false;
      for (const one of section.querySelectorAll(".prefs-row")) {
        const text = `${title} ${one.querySelector(".prefs-words").textContent.toLowerCase()} ${one.dataset.name || ""}`;
        const fits = wanted.every((word) => text.includes(word)) && (!onlyChanged || one.dataset.changed === "yes");
        one.hidden = !fits;
        some ||= fits;
      }
      section.hidden = section.link.hidden = !some;
      any ||= some;
    }
    none.hidden = any;
  }

  search.addEventListener("input", filter);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && search.value) {
      search.value = "";
      filter();
      event.preventDefault();
    }
  });
  only.addEventListener("click", () => {
    onlyChanged = !onlyChanged;
    filter();
  });
  all.addEventListener("click", async () => {
    const changed = [...rows].map(([name, one]) => [name, one.state()]).filter(([, one]) => one.changed && !one.fixed);
    const before = Object.fromEntries(changed.map(([name, one]) => [name, one.value]));
    if (!(await send(Object.fromEntries(changed.map(([name]) => [name, null]))))) return;
    rows.forEach((one) => one.set());
    say(t("All settings are back at their defaults"), async () => {
      if (await send(before)) {
        rows.forEach((one) => one.set());
        say(t("Saved"));
      }
    });
  });

  const load = () =>
    turn(async () => {
      try {
        const answer = await fetch("api/settings", { cache: "no-store" });
        if (answer.ok) take(await answer.json());
      } catch {
        /* asked again below, and when the tab is seen */
      }
      if (!told) setTimeout(load, AGAIN_MS);
    });
  new IntersectionObserver((entries) => {
    if (entries.at(-1).isIntersecting) load();
  }).observe(root);
  load();
}
