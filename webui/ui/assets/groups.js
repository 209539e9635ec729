// Titles of folded groups, which say which of their values are not the usual ones.

import * as accordion from "./accordion.js";
import { node, setText } from "./dom.js";
import { formOf } from "./forms.js";
import { nameNumbers, openerOf } from "./gradio.js";
import { named, t } from "./i18n.js";
import { effect, signal } from "./signals.js";

const clip = (text) => (text.length > 24 ? text.slice(0, 23) + "…" : text);
const without = (label) => t("no {label}", { label: named(label) });
const words = {
  number: (label, value) => (value === null ? without(label) : `${named(label)} ${value}`),
  optional: (label, value) => (value.trim() ? `${named(label)} ${value.trim()}` : ""),
  choice: (_label, value, names) => named(String(names?.find(([one]) => one === value)?.[1] ?? value ?? "")),
  switch: (label, value) => (value ? named(label) : without(label)),
  text: (label, value) => `${named(label)} “${clip(value)}”`,
  picture: (label, value) => (value?.image ? named(label) : ""),
};

const drawn = signal(0); // how often something was drawn that has titles, or the language changed
const redraw = () => drawn.value++;
document.addEventListener("easel-language", redraw);
document.addEventListener("easel-drawn", redraw);
effect(() => {
  drawn.value;
  nameNumbers();
});

// Keeps the titles of a task; `root` is what it is drawn in.
export function groups(root, task) {
  const store = formOf(task);
  effect(() => {
    drawn.value;
    const texts = Object.entries(store.changed()).map(([name, value]) => {
      const [kind, label, , names] = store.fields[name];
      return [`${task}-${name}`, words[kind](label, value, names)];
    });
    retitle(root, texts);
  });
  new IntersectionObserver((entries) => {
    if (!entries.at(-1).isIntersecting) return;
    redraw();
    accordion.drawRest();
  }).observe(root);
}

function retitle(root, texts) {
  // every group of it; one inside another is told of in both
  const told = new Map([...root.querySelectorAll(".easel-group")].map((group) => [group, []]));
  for (const [id, text] of texts) {
    const control = text && document.getElementById(id);
    let group = control?.closest(".easel-group");
    for (; group; group = group.parentElement.closest(".easel-group")) told.get(group)?.push(text);
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
