// The pictures of one job beside each other: all that it made, or, while it runs, each in its place.

import { node, setText } from "./dom.js";
import { t } from "./i18n.js";

/**
 * What stands at one place of a job. `part` is how far a running picture is, from 0 to 1.
 * @typedef {{ place: number, state: "made" | "running" | "waiting" | "skipped", look: string, part: number, key: string }} Cell
 */

/**
 * The places of a job in order, from what is told of it.
 * @param {{ number: number, running?: { place: number, part: number, look: string }[], skipped?: number[],
 *           pictures?: { place: number, key: string, thumbnail: string }[] }} value
 * @returns {Cell[]}
 */
export function cellsOf(value) {
  const made = new Map((value.pictures || []).map((one) => [one.place, one]));
  const running = new Map((value.running || []).map((one) => [one.place, one]));
  const skipped = new Set(value.skipped || []);
  return Array.from({ length: value.number }, (_, place) => {
    const saved = made.get(place);
    if (saved) return { place, state: "made", look: saved.thumbnail, part: 1, key: saved.key };
    const going = running.get(place);
    if (going) return { place, state: "running", look: going.look, part: going.part, key: "" };
    return { place, state: skipped.has(place) ? "skipped" : "waiting", look: "", part: 0, key: "" };
  });
}

/**
 * In how many columns `count` pictures of a shape are largest.
 * @param {{ clientWidth: number, clientHeight: number }} room
 * @param {number} count
 * @param {number} ratio width / height
 */
export function columnsFor(room, count, ratio) {
  let columns = 1,
    best = 0;
  for (let n = 1; n <= count; n++) {
    const width = Math.min(room.clientWidth / n, (room.clientHeight / Math.ceil(count / n)) * ratio);
    if (width > best) [best, columns] = [width, n];
  }
  return columns;
}

/** @type {WeakMap<HTMLElement, [number, number]>} */
const held = new WeakMap(); // how many pictures of which shape a grid holds

/**
 * Has `count` pictures of a shape be as large as the frame lets them, whatever becomes of the frame.
 * @param {HTMLElement} grid
 * @param {HTMLElement} frame
 * @param {number} count
 * @param {number} ratio
 */
export function arrange(grid, frame, count, ratio) {
  if (!held.has(grid)) new ResizeObserver(() => fit(grid, frame)).observe(frame);
  held.set(grid, [count, ratio]);
  fit(grid, frame);
}

/** @param {HTMLElement} grid @param {HTMLElement} frame */
function fit(grid, frame) {
  const [count, ratio] = held.get(grid) ?? [1, 1];
  if (!frame.clientWidth) return; // in a tab that is not on show: when it is
  const columns = columnsFor(frame, count, ratio);
  grid.style.setProperty("--columns", String(columns));
  grid.style.setProperty("--rows", String(Math.ceil(count / columns)));
}

/** @type {Record<Cell["state"], (number: number) => unknown>} */
const NAMES = {
  made: (number) => t("Picture {number}", { number }),
  running: (number) => t("Preview of picture {number}", { number }),
  waiting: (number) => t("Picture {number} waits", { number }),
  skipped: (number) => t("Picture {number} was skipped", { number }),
};

/**
 * Draws a running job's pictures; a place keeps its element, so that nothing flickers and the keyboard stays.
 * @param {HTMLElement} grid
 * @param {Cell[]} cells
 * @param {(key: string) => void} open is called with a finished picture's key
 */
export function drawGoing(grid, cells, open) {
  if (grid.dataset.going !== "yes" || grid.children.length !== cells.length) {
    grid.replaceChildren(...cells.map(() => node("div", { role: "listitem" })));
    grid.dataset.going = "yes";
  }
  for (const [at, cell] of cells.entries()) {
    const holder = /** @type {HTMLElement} */ (grid.children[at]);
    if (holder.dataset.state !== cell.state) {
      holder.dataset.state = cell.state;
      holder.replaceChildren(made(cell, open));
    }
    const place = /** @type {HTMLElement} */ (holder.firstElementChild);
    const image = place.querySelector("img");
    if (image && cell.look && image.getAttribute("src") !== cell.look) image.src = cell.look;
    if (image) image.hidden = !cell.look;
    const bar = /** @type {HTMLElement | null} */ (place.querySelector("i"));
    if (bar) bar.style.width = `${100 * cell.part}%`;
  }
}

/**
 * @param {Cell} cell
 * @param {(key: string) => void} open
 */
function made(cell, open) {
  const name = NAMES[cell.state](cell.place + 1);
  const finished = cell.state === "made";
  const place = finished ? node("button", { type: "button", "data-key": cell.key }) : node("div", { role: "img" });
  place.className = "stage-cell";
  setText(place, name, "aria-label");
  if (finished || cell.state === "running") place.append(node("img", { alt: "" }));
  if (cell.state === "running") place.append(node("i"));
  if (finished) place.addEventListener("click", () => open(cell.key));
  if (cell.state === "skipped") place.append(node("span", {}, String(t("Skipped"))));
  return place;
}
