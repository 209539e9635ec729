// Titles of folded groups, which say which of their values are not the usual ones. Those come from Python
// (webui/ui/groups.py) as [kind, label, value as it is shown] by the control's id; the rest is read off the page.

import * as accordion from "./accordion.js";
import { whenIdle } from "./accordion.js";
import { node, setText } from "./dom.js";
import { shownValue, usualValues } from "./form-values.js";
import { forms } from "./forms.js";
import { openerOf, updated } from "./gradio.js";
import { named, t } from "./i18n.js";

export function groups(element, trigger, props, watch) {
  const clip = (text) => (text.length > 24 ? text.slice(0, 23) + "…" : text);
  const without = (label) => t("no {label}", { label: named(label) });
  const words = {
    number: (label, value) => (value === null ? without(label) : `${named(label)} ${value}`),
    optional: (label, value) => `${named(label)} ${value}`,
    choice: (label, value) => named(value),
    switch: (label, value) => (value ? named(label) : without(label)),
    text: (label, value) => `${named(label)} “${clip(value)}”`,
    picture: (label, value) => (value ? named(label) : ""),
  };

  function said(id, [kind, label, usual]) {
    const value = shownValue(id, kind);
    const asUsual = kind === "choice" ? String(named(usual)) : usual;
    return value === undefined || value === asUsual ? "" : words[kind](label, value);
  }

  function retitle(task) {
    // every group of it; one inside another is told of in both
    const told = new Map([...task.querySelectorAll(".easel-group")].map((group) => [group, []]));
    for (const [id, usual] of Object.entries(props.value || {})) {
      const control = document.getElementById(id);
      const text = control && task.contains(control) && control.closest(".easel-group") ? said(id, usual) : "";
      if (!text) continue;
      for (let group = control.closest(".easel-group"); group; group = group.parentElement.closest(".easel-group")) {
        told.get(group)?.push(text);
      }
    }
    told.forEach((parts, group) => {
      const button = openerOf(group);
      if (!button) return;
      accordion.mark(group, button);
      let title = button.querySelector(".group-values");
      if (!title) {
        title = node("span", { class: "group-values", translate: "no" });
        button.querySelector("span").after(title);
      }
      const own = button.querySelector("span").textContent.trim().toLowerCase() + " "; // not said twice
      const text = parts.map((part) => (part.toLowerCase().startsWith(own) ? part.slice(own.length) : part)).join(", ");
      if (title.textContent !== text) {
        setText(title, text);
        setText(title, text, "title");
      }
    });
  }

  function all() {
    document.querySelectorAll(".easel-task").forEach((task) => {
      if (task.offsetParent) retitle(task);
    });
    accordion.drawRest();
  }
  const later = (event) => {
    const task = event.target.closest?.(".easel-task");
    if (task) setTimeout(() => retitle(task), 80); // when Gradio has put the value in place
  };
  for (const kind of ["input", "change", "click", "keyup", "drop"]) document.addEventListener(kind, later, true);
  watch("value", () => setTimeout(all, 80));
  document.addEventListener("easel-language", all);
  watch("fresh", () => {
    const { asked } = usualValues;
    if (asked !== null && props.fresh.of !== asked) return; // another model has been chosen since
    usualValues.fresh = props.fresh;
    trigger("replace", {});
  });
  // Values that Python sets, and tabs that are opened for the first time, come without an event.
  setInterval(() => {
    if (!document.hidden) all();
  }, 500);
  all();

  const stale = document.querySelector("meta[name=easel-form]"); // drawn before the settings or models of now
  forms(trigger, props, (other) => {
    if (stale || other)
      whenIdle(() => {
        stale?.remove();
        trigger("renew", {});
      });
  });
}

// What the fields `ids` become when the `fresh` usual values replace the ones before, which Gradio gives with what the
// fields hold at this moment: what is not as usual is somebody's own, and stays.
export function replaced(ids, [usual, ...now]) {
  const { of, usual: fresh } = usualValues.fresh;
  setTimeout(() => {
    if (usualValues.asked === of) usualValues.asked = null;
  }, 100); // when Gradio has put them in place
  const plain = (value) => String(value ?? "");
  return [
    fresh,
    ...ids.map((id, at) => {
      const before = usual[id]?.[3],
        value = fresh[id][3];
      if (plain(now[at]) !== plain(before) || plain(value) === plain(now[at])) return updated();
      return typeof now[at] === "string" ? plain(value) : value; // a number that may be left out is text
    }),
  ];
}

export function asking(model) {
  usualValues.asked = model;
  return model;
}

const held = new Set();
document.addEventListener(
  "click",
  (event) => {
    const WAIT_MS = 10000; // for a server that does not answer
    const button = event.target.closest?.(".easel-generate, .easel-add");
    if (!button || usualValues.asked === null) return;
    event.stopImmediatePropagation();
    if (held.has(button)) return;
    held.add(button);
    const pressed = performance.now();
    const press = () => {
      const late = performance.now() - pressed > WAIT_MS;
      if (usualValues.asked !== null && !late) {
        setTimeout(press, 20);
        return;
      }
      if (late) usualValues.asked = null;
      held.delete(button);
      button.click();
    };
    press();
  },
  true,
);
