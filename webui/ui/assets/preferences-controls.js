// A control for each kind of setting: {element, set(value), focused()}; `change(value, soon)` hears what is chosen, `refuse(sentence)`
// why a value cannot be.

import { node, setText } from "./dom.js";
import { named, t } from "./i18n.js";

export function settingControl(setting, told, change, refuse) {
  const make = kinds[setting.kind] || kinds.text;
  const made = make(setting, told, change, refuse);
  made.field ||= made.element;
  setText(made.field, named(setting.label), "aria-label");
  if (setting.info) made.field.setAttribute("aria-describedby", `setting-${setting.name}-info`);
  return made;
}

export const namedPairs = ({ choices }) => choices.map(([label, value]) => [named(label), value]);

// One of a few, side by side. `pairs` are [label, value]; own words of somebody carry translate="no".
export function segments(pairs, change, own = []) {
  const element = node("div", { class: "prefs-segments", role: "radiogroup" });
  const buttons = pairs.map(([label, value]) => {
    const one = node(
      "button",
      { type: "button", role: "radio", "aria-checked": "false", ...(own.includes(value) ? { translate: "no" } : {}) },
      label,
    );
    one.addEventListener("click", () => {
      set(value);
      change(value);
    });
    element.append(one);
    return [one, value];
  });
  element.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = buttons.findIndex(([one]) => one === document.activeElement);
    if (!by || at < 0) return;
    event.preventDefault();
    const [next] = buttons[(at + by + buttons.length) % buttons.length];
    next.focus();
    next.click();
  });
  function set(value) {
    const chosen = Math.max(
      0,
      buttons.findIndex(([, one]) => one === value),
    );
    buttons.forEach(([one], at) => {
      one.setAttribute("aria-checked", at === chosen);
      one.tabIndex = at === chosen ? 0 : -1;
    });
  }
  const disable = (off) =>
    buttons.forEach(([one]) => {
      one.disabled = off;
    });
  return { element, set, disable, focused: () => false };
}

export function selectMenu(pairs, change, own = []) {
  const element = node("select", { class: "prefs-input" });
  const keys = pairs.map(([, value]) => JSON.stringify(value));
  pairs.forEach(([label, value], at) =>
    element.append(node("option", { value: keys[at], ...(own.includes(value) ? { translate: "no" } : {}) }, label)),
  );
  element.addEventListener("change", () => change(JSON.parse(element.value)));
  const set = (value) => {
    element.value = JSON.stringify(value);
  };
  return {
    element,
    set,
    disable: (off) => {
      element.disabled = off;
    },
    focused: () => false,
  };
}

export function typedField(attributes, read, write, change) {
  const element = node("input", {
    class: "prefs-input",
    autocomplete: "off",
    spellcheck: "false",
    translate: "no",
    ...attributes,
  });
  element.addEventListener("input", () => change(read(element), true));
  element.addEventListener("change", () => change(read(element), false));
  const set = (value) => {
    element.value = write(value);
  };
  return {
    element,
    set,
    disable: (off) => {
      element.disabled = off;
    },
    focused: () => document.activeElement === element,
  };
}

export const kinds = {
  switch(setting, told, change) {
    const element = node("button", { type: "button", class: "prefs-switch", role: "switch", "aria-checked": "false" });
    element.append(node("i"));
    const set = (value) => element.setAttribute("aria-checked", value);
    element.addEventListener("click", () => {
      const on = element.getAttribute("aria-checked") !== "true";
      set(on);
      change(on);
    });
    return {
      element,
      set,
      disable: (off) => {
        element.disabled = off;
      },
      focused: () => false,
    };
  },

  number(setting, told, change) {
    const bounds = Object.fromEntries(["minimum", "maximum", "step"].map((name) => [name, setting[name]]));
    const attributes = {
      type: "number",
      min: bounds.minimum,
      max: bounds.maximum,
      step: setting.whole ? 1 : "any",
      inputmode: setting.whole ? "numeric" : "decimal",
      placeholder: named(setting.empty),
    };
    const read = (box) => (box.value === "" ? (setting.empty ? null : undefined) : Number(box.value));
    const made = typedField(
      attributes,
      read,
      (value) => value ?? "",
      (value, soon) => {
        if (value !== undefined) change(value, soon);
      },
    );
    made.element.classList.add("prefs-number");
    if (setting.empty) made.element.removeAttribute("translate");
    return made;
  },

  choice(setting, told, change) {
    return (setting.choices.length <= 3 ? segments : selectMenu)(namedPairs(setting), change);
  },

  look: (setting, told, change) => segments(namedPairs(setting), change),

  language(setting, told, change) {
    const pairs = [
      [t("As the browser's"), ""],
      ["English", "en"],
      ...told.languages.map(([code, name]) => [name, code]),
    ];
    return selectMenu(
      pairs,
      change,
      pairs.slice(1).map(([, code]) => code),
    );
  },

  text: (setting, told, change) =>
    typedField(
      { type: "text" },
      (box) => box.value,
      (value) => value,
      change,
    ),

  folder(setting, told, change) {
    const made = kinds.text(setting, told, change);
    made.element.classList.add("prefs-wide");
    return made;
  },

  // A name pattern, with what it makes of a made-up picture under it, and the tokens to press.
  pattern(setting, told, change, refuse) {
    const element = node("div", { class: "prefs-pattern" });
    const sample = node("output", { class: "prefs-sample", translate: "no" });
    const tokens = node("div", { class: "prefs-tokens", role: "group", "aria-label": t("Tokens") });
    let asked = 0;
    const show = async (pattern, then) => {
      const mine = ++asked;
      try {
        const answer = await fetch("api/settings/name?pattern=" + encodeURIComponent(pattern), { cache: "no-store" });
        const said = await answer.json();
        if (mine !== asked) return;
        setText(sample, said.name);
        sample.hidden = !said.name;
        if (said.error) refuse(said.error);
        else then?.();
      } catch {
        then?.();
      } // the change itself says so
    };
    const typed = typedField(
      { type: "text" },
      (box) => box.value,
      (value) => value,
      (value, soon) => show(value, () => change(value, soon)),
    );
    typed.element.classList.add("prefs-wide", "prefs-mono");
    for (const [token, meaning] of told.tokens) {
      const one = node("button", { type: "button", title: named(meaning) });
      one.append(node("span", { translate: "no" }, token));
      one.addEventListener("click", () => {
        const box = typed.element;
        box.setRangeText(token, box.selectionStart ?? box.value.length, box.selectionEnd ?? box.value.length, "end");
        box.focus();
        box.dispatchEvent(new Event("input", { bubbles: true }));
      });
      tokens.append(one);
    }
    element.append(typed.element, sample, tokens);
    return {
      element,
      field: typed.element,
      focused: typed.focused,
      set: (value) => {
        typed.set(value);
        show(value);
      },
      disable: (off) => {
        typed.disable(off);
        tokens.querySelectorAll("button").forEach((one) => {
          one.disabled = off;
        });
      },
    };
  },
};
