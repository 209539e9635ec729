// The page's own behaviour: keys, light and dark, sentences beside the button. No request leaves from here.
"use strict";
window.Easel = window.Easel || {};

Easel.node = function (tag, attributes, text) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
};

// Per-tab memory that survives a reload; a browser that forbids it forgets.
Easel.remember = function (key, value) {
  try { sessionStorage.setItem("easel-" + key, JSON.stringify(value)); } catch { /* private mode */ }
};
Easel.recall = function (key, otherwise) {
  try { return JSON.parse(sessionStorage.getItem("easel-" + key)) ?? otherwise; } catch { return otherwise; }
};

// Why a request was refused: the sentence, and a mark at the control that it is about. A press that nobody answers is
// not kept, so that is said here, too, until the server is back.
Easel.problem = function (element, props, watch) {
  const line = element.querySelector(".easel-problem-line");
  let lost = false;
  const show = () => {
    const { message = "", control = "" } = lost ? { message: Easel.t("The server does not answer: press again when it is back.") } : props.value || {};
    line.textContent = message;
    line.hidden = !message;
    document.querySelectorAll(".easel-wrong").forEach((wrong) => wrong.classList.remove("easel-wrong"));
    if (message && control) document.getElementById(control)?.classList.add("easel-wrong");
  };
  const hear = (now) => { lost = now; show(); };
  watch("value", () => hear(false));
  element.closest(".easel-task").addEventListener("click", async (event) => {
    const button = event.target.closest(".easel-go button, .stage-examples button");
    if (!button) return;
    const known = Easel.gone;  // Gradio would load the page anew, which empties the form
    if (known) event.stopImmediatePropagation();
    if (await Easel.away()) hear(true); else if (known) button.click();
  }, true);
  document.addEventListener("easel-back", () => { if (lost) hear(false); });
  show();
};

Easel.dark = function (dark) {
  document.body.classList.toggle("dark", dark);
  try { localStorage.setItem("easel-dark", dark ? "1" : "0"); } catch { /* private mode */ }
};

Easel.start = function () {
  let wanted = null;
  try { wanted = localStorage.getItem("easel-dark"); } catch { /* private mode */ }
  if (wanted !== null && !new URLSearchParams(location.search).has("__theme")) {
    document.body.classList.toggle("dark", wanted === "1");
  }
  document.addEventListener("click", (event) => {
    if (event.target.closest(".easel-theme")) Easel.dark(!document.body.classList.contains("dark"));
  });
  document.addEventListener("click", (event) => {  // a double click is one picture
    if (event.detail > 1 && event.target.closest?.(".easel-generate, .easel-add")) event.stopImmediatePropagation();
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    if (event.repeat) return event.preventDefault();
    const task = [...document.querySelectorAll(".easel-task")].find((one) => one.offsetParent !== null);
    const button = task && task.querySelector(".easel-generate");
    if (!button || task.dataset.running) return;
    event.preventDefault();
    Easel.settle?.(document.activeElement);
    button.click();
  }, true);
  Easel.tabs();
};

// On a phone the bar of tabs scrolls: the chosen one is always in sight.
Easel.tabs = function () {
  document.addEventListener("click", (event) => {
    const chosen = event.target.closest?.("[role=tab]");
    chosen?.scrollIntoView({ block: "nearest", inline: "center" });
  });
  addEventListener("resize", () => {
    const chosen = document.querySelector(".easel-tabs > .tab-wrapper [role=tab][aria-selected=true]");
    if (!chosen) return;
    const bar = chosen.parentElement, at = chosen.getBoundingClientRect(), of = bar.getBoundingClientRect();
    bar.scrollLeft += at.left + at.width / 2 - of.left - of.width / 2;
  });
};
