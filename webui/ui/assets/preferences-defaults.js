// The editor of one's own defaults: cards of values, each for a task, a model, or a model in a task.

import { node, setText } from "./dom.js";
import { fieldOf } from "./gradio.js";
import { named, t } from "./i18n.js";
import { kinds, namedPairs, selectMenu } from "./preferences-controls.js";

export function defaults(setting, told, change) {
  const element = node("div", { class: "prefs-defaults", role: "group" });
  const cards = node("div", { class: "defaults-cards" }),
    add = node("div", { class: "defaults-add" });
  let entries = [],
    about = null,
    off = false;
  element.append(cards, add);

  const label = (task) => named(about.tasks.find(([name]) => name === task)?.[1] || task);
  const fieldsOf = (task) => {
    if (task && about.fields[task]) return about.fields[task];
    const all = new Map(
      Object.values(about.fields)
        .flat()
        .map((field) => [field.name, field]),
    );
    return [...all.values()];
  };
  const keep = (soon = false) =>
    change(
      entries.map((one) => ({ ...one, values: { ...one.values } })),
      soon,
    );

  function usual(field) {
    // what a new row begins with
    if (field.kind === "switch") return false;
    if (field.kind === "choice") return field.choices[0]?.[1] ?? "";
    if (field.kind === "number")
      return (
        { steps: 20, cfg_scale: 7, width: 512, height: 512, denoising_strength: 0.75 }[field.name] ?? field.minimum
      );
    return "";
  }

  // What the task's form shows now; nothing where it was not opened yet.
  function shown(task) {
    const found = {};
    for (const field of fieldsOf(task)) {
      const control = document.getElementById(`${task}-${field.name}`);
      if (!control) continue;
      try {
        if (field.kind === "switch") found[field.name] = fieldOf(control, "switch").checked;
        else if (field.kind === "number") {
          const text = (fieldOf(control, "number") ?? fieldOf(control, "text")).value.trim(); // one that may stay empty is words
          if (text !== "" && !Number.isNaN(Number(text))) found[field.name] = Number(text);
        } else if (field.kind === "choice") {
          const text = fieldOf(control, "menu").value,
            choice = field.choices.find(([name]) => String(named(name)) === text);
          if (choice) found[field.name] = choice[1];
        } else {
          const text = fieldOf(control, "text").value;
          if (text || field.name === "negative_prompt") found[field.name] = text;
        }
      } catch {
        /* not drawn */
      }
    }
    return found;
  }

  function row(entry, field) {
    const line = node("div", { class: "defaults-row" });
    const hear = (value, soon) => {
      if (value === undefined) return;
      entry.values[field.name] = value;
      keep(soon);
    };
    const control =
      field.kind === "number"
        ? kinds.number({ ...field, minimum: field.minimum ?? 0, maximum: field.maximum ?? 1, empty: "" }, told, hear)
        : field.kind === "choice"
          ? selectMenu(namedPairs(field), hear)
          : field.kind === "switch"
            ? kinds.switch(field, told, hear)
            : kinds.text(field, told, hear);
    setText(control.element, named(field.label), "aria-label");
    control.set(entry.values[field.name]);
    control.disable(off);
    const gone = node(
      "button",
      { type: "button", class: "prefs-quiet defaults-gone", title: t("Remove"), "aria-label": t("Remove") },
      "✕",
    );
    gone.disabled = off;
    gone.addEventListener("click", () => {
      delete entry.values[field.name];
      keep();
      draw();
    });
    line.append(node("span", { class: "defaults-label" }, named(field.label)), control.element, gone);
    return line;
  }

  function card(entry) {
    const made = node("article", { class: "defaults-card" }),
      head = node("header"),
      rows = node("div", { class: "defaults-rows" });
    const title = node("h4");
    title.append(
      node("span", {}, entry.task ? label(entry.task) : t("Any task")),
      " · ",
      entry.model ? node("span", { translate: "no" }, entry.model) : node("span", {}, t("Any model")),
    );
    const gone = node("button", { type: "button", class: "prefs-quiet" }, t("Delete"));
    gone.disabled = off;
    gone.addEventListener("click", () => {
      entries = entries.filter((one) => one !== entry);
      keep();
      draw();
    });
    head.append(title, gone);
    const fields = fieldsOf(entry.task);
    for (const field of fields) if (field.name in entry.values) rows.append(row(entry, field));
    const tools = node("div", { class: "defaults-tools" });
    const rest = fields.filter((field) => !(field.name in entry.values));
    if (rest.length) {
      const more = node("select", { class: "prefs-input", "aria-label": t("Add a value") });
      more.append(node("option", { value: "" }, t("Add a value")));
      rest.forEach((field) => more.append(node("option", { value: field.name }, named(field.label))));
      more.disabled = off;
      more.addEventListener("change", () => {
        const field = rest.find((one) => one.name === more.value);
        entry.values[field.name] = usual(field);
        keep();
        draw();
      });
      tools.append(more);
    }
    if (entry.task && Object.keys(shown(entry.task)).length) {
      const take = node("button", { type: "button", class: "prefs-button" }, t("Take the form's values"));
      take.disabled = off;
      take.addEventListener("click", () => {
        entry.values = shown(entry.task);
        keep();
        draw();
      });
      tools.append(take);
    }
    made.append(head, rows, tools);
    return made;
  }

  function drawAdd() {
    const task = node("select", { class: "prefs-input", "aria-label": t("Task") });
    task.append(node("option", { value: "" }, t("Any task")));
    about.tasks.forEach(([name, said]) => task.append(node("option", { value: name }, named(said))));
    const model = node("select", { class: "prefs-input", "aria-label": t("Model") });
    model.append(node("option", { value: "" }, t("Any model")));
    about.models.forEach((name) => model.append(node("option", { value: name, translate: "no" }, name)));
    const button = node("button", { type: "button", class: "prefs-button" }, t("Add defaults"));
    const ready = () => {
      const there = entries.some((one) => one.task === task.value && one.model === model.value);
      button.disabled = off || there || !(task.value || model.value);
    };
    task.value = about.tasks[0]?.[0] || "";
    task.disabled = model.disabled = off;
    task.addEventListener("change", ready);
    model.addEventListener("change", ready);
    button.addEventListener("click", () => {
      entries.push({ task: task.value, model: model.value, values: {} });
      draw();
    });
    add.replaceChildren(task, model, button);
    ready();
  }

  function draw() {
    if (!about) return;
    cards.replaceChildren(...entries.map(card));
    if (!entries.length)
      cards.append(node("p", { class: "defaults-none" }, t("Nothing chosen yet: models and settings decide.")));
    drawAdd();
  }

  fetch("api/settings/fields")
    .then((answer) => answer.json())
    .then((told) => {
      about = told;
      draw();
    })
    .catch(() => {});
  return {
    element,
    focused: () => element.contains(document.activeElement),
    set: (value) => {
      entries = value.map((one) => ({ ...one, values: { ...one.values } }));
      draw();
    },
    disable: (now) => {
      if (off !== now) {
        off = now;
        draw();
      }
    },
  };
}

kinds.defaults = defaults;
