// Groups of controls: folded and unfolded here, so that what is folded stays in the page; and titles of folded ones
// that say which of their values are not the usual ones. Those come from Python (webui/ui/groups.py) as [kind, label,
// value as it is shown] by the control's id; the rest is read off the page.
"use strict";
window.Easel = window.Easel || {};

Easel.groups = function (element, trigger, props, watch) {
  const readers = {
    number: (at) => { const box = at("input[type=number]"); return box.value === "" ? null : Number(box.value); },
    optional: (at) => at("textarea, input").value.trim(),
    choice: (at) => at("input").value,
    switch: (at) => at("input[type=checkbox]").checked,
    text: (at) => at("textarea, input").value,
    picture: (at) => at(".canvas-drop").hidden,
  };
  const clip = (text) => text.length > 24 ? text.slice(0, 23) + "…" : text;
  const without = (label) => Easel.t("no {label}", { label: Easel.t(label) });
  const words = {
    number: (label, value) => value === null ? without(label) : `${Easel.t(label)} ${value}`,
    optional: (label, value) => `${Easel.t(label)} ${value}`,
    choice: (label, value) => Easel.t(value),
    switch: (label, value) => value ? Easel.t(label) : without(label),
    text: (label, value) => `${Easel.t(label)} “${clip(value)}”`,
    picture: (label, value) => value ? Easel.t(label) : "",
  };

  function said(id, [kind, label, usual]) {
    const control = document.getElementById(id);
    const at = (selector) => control.matches(selector) ? control : control.querySelector(selector);
    let value;
    try { value = readers[kind](at); } catch { return ""; }  // Gradio is still drawing it
    return value === usual ? "" : words[kind](label, value);
  }

  function retitle(task) {  // every group of it; one inside another is told of in both
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
      const button = group.querySelector(":scope > button");
      if (!button) return;
      fold(group, button);
      let title = button.querySelector(".group-values");
      if (!title) {
        title = Easel.node("span", { class: "group-values", translate: "no" });
        button.querySelector("span").after(title);
      }
      const own = button.querySelector("span").textContent.trim().toLowerCase() + " ";  // not said twice
      const text = parts.map((part) => part.toLowerCase().startsWith(own) ? part.slice(own.length) : part).join(", ");
      if (title.textContent !== text) { title.textContent = text; title.title = text; }
    });
  }

  function key(group) {  // the same group of another task is another one
    const task = group.closest(".easel-task");
    const name = task.querySelector(".easel-stage")?.id || "";
    return `group-${name}-${[...task.querySelectorAll(".easel-group")].indexOf(group)}`;
  }

  function fold(group, button) {  // once for each group, as it comes
    if (!group.dataset.fold) {
      const open = group.classList.contains("easel-open");
      group.dataset.fold = Easel.recall(key(group), open) ? "open" : "shut";
    }
    button.setAttribute("aria-expanded", group.dataset.fold === "open");
  }

  // For Gradio a folded group is closed until the page can be used: less to draw before that. Then one after the other
  // is opened, and stays open.
  const SETTLE_MS = 300;
  let opening = false, busy = false;
  function openFor(button) {
    opening = button.parentElement.dataset.drawn = "yes";
    button.click();
    opening = false;
  }
  const idle = (act) => window.requestIdleCallback ? requestIdleCallback(act, { timeout: 1000 }) : setTimeout(act, 50);
  function openRest() {
    const closed = [...document.querySelectorAll(".easel-group:not([data-drawn]) > button:not(.open)")];
    const button = closed.find((one) => one.closest(".easel-task").offsetParent);
    busy = Boolean(button);
    if (!busy) return;
    openFor(button);
    idle(openRest);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".easel-group > button");
    if (!button || opening) return;
    if (!button.classList.contains("open") && !button.parentElement.dataset.drawn) openFor(button);
    event.stopPropagation();  // for Gradio it stays open
    const group = button.parentElement;
    group.dataset.fold = group.dataset.fold === "open" ? "shut" : "open";
    Easel.remember(key(group), group.dataset.fold === "open");
    retitle(group.closest(".easel-task"));
  }, true);

  function all() {
    document.querySelectorAll(".easel-task").forEach((task) => { if (task.offsetParent) retitle(task); });
    if (!busy) { busy = true; setTimeout(idle, SETTLE_MS, openRest); }
  }
  const later = (event) => {
    const task = event.target.closest?.(".easel-task");
    if (task) setTimeout(() => retitle(task), 80);  // when Gradio has put the value in place
  };
  for (const kind of ["input", "change", "click", "keyup", "drop"]) document.addEventListener(kind, later, true);
  watch("value", () => setTimeout(all, 80));
  // Values that Python sets, and tabs that are opened for the first time, come without an event.
  setInterval(() => { if (!document.hidden) all(); }, 500);
  all();

  const stale = document.querySelector("meta[name=easel-form]");  // drawn before the settings or models of now
  if (stale) idle(() => { stale.remove(); trigger("renew", {}); });
};
