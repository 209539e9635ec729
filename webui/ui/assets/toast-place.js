// Where sentences that go by themselves stand: never over the tabs, the prompt, Generate or a picture, while there is
// room beside them.

import { freePlace } from "./free-place.js";
import { barOfTabs } from "./gradio.js";

const KEPT = ".easel-head, .easel-words, .easel-go, .stage-frame, .canvas-view, .easel-problem-line, .easel-error";
const KEPT_OVER = "img, canvas, .easel-generate"; // in a dialog
const QUIET = ".easel-stage, .easel-source, .easel-foot, .viewer-foot, .viewer-head";

/** @param {Element} stack of the sentences */
export function placeToasts(stack) {
  const dialog = stack.closest("dialog");
  const seen = (/** @type {Iterable<Element | null>} */ elements) =>
    [...elements].filter((one) => one?.checkVisibility() && !stack.contains(one)).map(boxOf);
  const within = dialog ?? document;
  const tabs = dialog ? [] : [barOfTabs(document.querySelector(".easel-tabs"))];
  const kept = seen([...tabs, ...within.querySelectorAll(dialog ? KEPT_OVER : KEPT)]);
  const { offsetWidth: width, offsetHeight: height, style } = /** @type {HTMLElement} */ (stack);
  const window = { width: document.documentElement.clientWidth, height: innerHeight };
  const { left, top } = freePlace(window, { width, height }, kept, seen(within.querySelectorAll(QUIET)));
  style.left = `${left}px`;
  style.top = `${top}px`;
}

/** @param {any} element */
function boxOf(element) {
  const { left, top, right, bottom } = element.getBoundingClientRect();
  return { left, top, right, bottom };
}

let waiting = false;
function again() {
  if (waiting || !document.querySelector(".easel-toast")) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    for (const stack of document.querySelectorAll(".easel-toasts")) placeToasts(stack);
  });
}
document.addEventListener("scroll", again, { capture: true, passive: true });
document.addEventListener("click", again, true);
addEventListener("resize", again);
