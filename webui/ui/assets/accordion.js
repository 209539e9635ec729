// Groups of controls are folded and unfolded here, from the first moment, so that what is folded stays in the page.
// For Gradio a folded group is closed until the page can be used: less to draw before that. Then one after the other is
// opened, and stays open.

import { recall, remember } from "./memory.js";

export function whenIdle(act) {
  return window.requestIdleCallback ? requestIdleCallback(act, { timeout: 1000 }) : setTimeout(act, 50);
}

const LATER_MS = 300; // until the folded ones are drawn
const FRAMES = 3;
let opening = false,
  busy = false;

function key(group) {
  // the same group of another task is another one
  const task = group.closest(".easel-task");
  const name = task.querySelector(".easel-stage")?.id || "";
  return `group-${name}-${[...task.querySelectorAll(".easel-group")].indexOf(group)}`;
}

export function mark(group, button) {
  group.dataset.fold ||= recall(key(group), group.classList.contains("easel-open")) ? "open" : "shut";
  button.setAttribute("aria-expanded", group.dataset.fold === "open");
}

// What Gradio draws later than the page gets its first values once more in the frame after: what somebody typed before
// that would be lost. So it is shown when that is over.
export function settle(place) {
  place.dataset.drawn = "soon";
  const wait = (left) => {
    if (left) requestAnimationFrame(() => wait(left - 1));
    else place.dataset.drawn = "yes";
  };
  wait(FRAMES);
}

function draw(button) {
  // Gradio may not listen yet, so it is asked until it opens
  const group = button.parentElement;
  group.dataset.drawn = "soon";
  const ask = () => {
    opening = true;
    button.click();
    opening = false;
    requestAnimationFrame(() => (button.classList.contains("open") ? settle(group) : ask()));
  };
  ask();
}

function drawNext() {
  const closed = [...document.querySelectorAll(".easel-group:not([data-drawn]) > button:not(.open)")];
  const button = closed.find((one) => one.closest(".easel-task").offsetParent);
  busy = Boolean(button);
  if (!busy) return;
  draw(button);
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
    const button = event.target.closest?.(".easel-group > button");
    if (!button || opening) return;
    const group = button.parentElement;
    if (!button.classList.contains("open") && !group.dataset.drawn) draw(button);
    event.stopPropagation(); // for Gradio it stays open
    mark(group, button);
    group.dataset.fold = group.dataset.fold === "open" ? "shut" : "open";
    mark(group, button);
    remember(key(group), group.dataset.fold === "open");
  },
  true,
);
