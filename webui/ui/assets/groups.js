// A folded group says in its title which of its values are not the usual ones. The usual ones come from Python
// (webui/ui/groups.py) as [kind, label, value] by the control's id; the rest is read off the page.
"use strict";
window.Easel = window.Easel || {};

Easel.groups = function (element, props, watch) {
  const readers = {
    number: (at) => { const box = at("input[type=number]"); return box.value === "" ? null : Number(box.value); },
    optional: (at) => at("textarea, input").value.trim(),
    choice: (at) => at("input").value,
    switch: (at) => at("input[type=checkbox]").checked,
    text: (at) => at("textarea, input").value,
    picture: (at) => at(".canvas-drop").hidden,
  };
  const clip = (text) => text.length > 24 ? text.slice(0, 23) + "…" : text;
  const words = {
    number: (label, value) => value === null ? `no ${label}` : `${label} ${value}`,
    optional: (label, value) => `${label} ${value}`,
    choice: (label, value) => value,
    switch: (label, value) => value ? label : `no ${label}`,
    text: (label, value) => `${label} “${clip(value)}”`,
    picture: (label, value) => value ? label : "",
  };

  function said(id, [kind, label, usual]) {
    const control = document.getElementById(id);
    const at = (selector) => control.matches(selector) ? control : control.querySelector(selector);
    const value = readers[kind](at);
    return value === usual ? "" : words[kind](label, value);
  }

  function retitle(group) {
    const button = group.querySelector(":scope > button");
    if (!button) return;
    const parts = [];
    for (const [id, usual] of Object.entries(props.value || {})) {
      if (group.querySelector("#" + CSS.escape(id))) parts.push(said(id, usual));
    }
    let title = button.querySelector(".group-values");
    if (!title) {
      title = Easel.node("span", { class: "group-values" });
      button.querySelector("span").after(title);
    }
    const own = button.querySelector("span").textContent.trim().toLowerCase() + " ";  // not said twice
    title.textContent = parts.filter(Boolean)
      .map((part) => part.toLowerCase().startsWith(own) ? part.slice(own.length) : part).join(", ");
  }

  const all = () => document.querySelectorAll(".easel-group").forEach(retitle);
  const later = (event) => {
    const group = event.target.closest?.(".easel-group");
    if (group) setTimeout(() => retitle(group), 80);  // when Gradio has put the value in place
  };
  for (const kind of ["input", "change", "click", "keyup", "drop"]) document.addEventListener(kind, later, true);
  watch("value", () => setTimeout(all, 80));
};
