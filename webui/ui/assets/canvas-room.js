// A task whose picture is painted gives its canvas the room of the result, which takes its place when a job runs. Two buttons
// go back and forth; on a narrow page both stand below each other (page.css).

import { node } from "./dom.js";
import { t } from "./i18n.js";

/** @typedef {"paint" | "result"} Side */

/** @param {Element} element the canvas @returns {(side: Side | null) => void} shows one of both; null where there is no picture */
export function room(element) {
  const task = /** @type {HTMLElement | null} */ (element.closest(".easel-room"));
  if (!task) return () => {};
  const places = { paint: ".easel-source", result: ".easel-stage" };
  const views = node("div", { class: "easel-views", role: "group", "aria-label": t("Canvas or result") });
  const buttons = /** @type {const} */ (["paint", "result"]).map((side) => {
    const button = node("button", { type: "button" }, side === "paint" ? t("Paint") : t("Result"));
    button.addEventListener("click", () => show(side));
    views.append(button);
    return /** @type {const} */ ([side, button]);
  });
  task.querySelector(":scope > .easel-go")?.after(views);
  const narrow = matchMedia("(max-width: 760px)");

  function show(/** @type {Side | null} */ side) {
    if (side) task.dataset.room = side;
    else delete task.dataset.room;
    for (const [one, button] of buttons) button.setAttribute("aria-pressed", String(one === side));
    for (const [one, button] of buttons) {
      const hidden = Boolean(side) && one !== side && !narrow.matches,
        place = task.querySelector(`:scope > ${places[one]}`);
      if (hidden && place?.contains(document.activeElement)) button.focus({ preventScroll: true });
      place?.toggleAttribute("inert", hidden);
    }
  }
  narrow.addEventListener("change", () => show(/** @type {Side} */ (task.dataset.room) ?? null));
  let ran = "";
  new MutationObserver(() => {
    const runs = task.dataset.running ?? "";
    if (runs && !ran && task.dataset.room) show("result");
    ran = runs;
  }).observe(task, { attributeFilter: ["data-running"] });
  const source = task.querySelector(":scope > .easel-source");
  if (source) {
    new MutationObserver(() => {
      // what is wrong with picture or mask is said at them
      if (task.dataset.room === "result" && source.querySelector(".easel-wrong")) show("paint");
    }).observe(source, { subtree: true, attributeFilter: ["class"] });
  }
  show(null);
  return show;
}
