// Groups of controls are folded and unfolded here, from the first moment, so that what is folded stays in the page.
// For Gradio a folded group is closed until the page can be used: less to draw before that. Then one after the other is
// opened, and stays open.

import { hushSign, isDrawn, openerOf } from "./gradio.js";
import { recall, remember } from "./memory.js";

/** @param {() => void} act */
export function whenIdle(act) {
  return window.requestIdleCallback ? requestIdleCallback(act, { timeout: 1000 }) : setTimeout(act, 50);
}

const LATER_MS = 300; // until the folded ones are drawn
let opening = false,
  busy = false;

/** @param {HTMLElement} group */
function key(group) {
  // the same group of another task is another one
  const task = group.closest(".easel-task");
  const name = task.querySelector(".easel-stage")?.id || "";
  return `group-${name}-${[...task.querySelectorAll(".easel-group")].indexOf(group)}`;
}

/** @param {HTMLElement} group @param {HTMLElement} button */
export function mark(group, button) {
  group.dataset.fold ||= recall(key(group), group.classList.contains("easel-open")) ? "open" : "shut";
  button.setAttribute("aria-expanded", group.dataset.fold === "open");
  hushSign(group);
}

/** @param {HTMLElement} group */
function draw(group) {
  // Gradio may not listen yet, so it is asked until it opens
  group.dataset.drawn = "yes";
  const ask = () => {
    opening = true;
    openerOf(group).click();
    opening = false;
    requestAnimationFrame(() => {
      if (isDrawn(group)) document.dispatchEvent(new CustomEvent("easel-drawn"));
      else ask();
    });
  };
  ask();
}

function drawNext() {
  const closed = [...document.querySelectorAll(".easel-group:not([data-drawn])")].filter((one) => !isDrawn(one));
  const group = closed.find((one) => openerOf(one) && one.closest(".easel-task").offsetParent);
  busy = Boolean(group);
  if (!busy) return;
  draw(/** @type {HTMLElement} */ (group));
  whenIdle(drawNext);
}

export function drawRest() {
  if (busy) return;
  busy = true;
  setTimeout(whenIdle, LATER_MS, drawNext);
}

document.addEventListener(
  "click",
  (event) => {
    const group = event.target.closest?.(".easel-group");
    const button = group && openerOf(group);
    if (!button?.contains(/** @type {Node} */ (event.target)) || opening) return;
    if (!isDrawn(group) && !group.dataset.drawn) draw(group);
    event.stopPropagation(); // for Gradio it stays open
    mark(group, button);
    group.dataset.fold = group.dataset.fold === "open" ? "shut" : "open";
    mark(group, button);
    remember(key(group), group.dataset.fold === "open");
  },
  true,
);
