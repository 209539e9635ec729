// Shows on a given picture what becomes of it where its shape is not the size's: what is cut off is dark, what is added is
// hatched, and a line under it says it in words, with a button that takes the picture's own shape again.

import { fateOf } from "./canvas-shape.js";
import { node, setText } from "./dom.js";
import { fieldAt } from "./forms.js";
import { t } from "./i18n.js";
import { effect, signal } from "./signals.js";

/** @typedef {import("./canvas-shapes.js").Size} Size */
/** @typedef {{ x: number, y: number, scale: number }} Where the window's pixels of the picture's corner, and of each of its */

const SAID = {
  crop: (/** @type {Size} */ size) => t("Cut to {width} × {height}", { ...size }),
  fill: (/** @type {Size} */ size) => t("Filled up to {width} × {height}", { ...size }),
  stretch: (/** @type {Size} */ size) => t("Stretched to {width} × {height}", { ...size }),
};

/**
 * @param {HTMLElement} element in the block that has its control's id
 * @param {{ where(): Where, own(): void, outer(size: Size | null): void }} how where the picture is seen; `own` takes the
 *   picture's shape, `outer` makes room for what is added around it
 */
export function fateShown(element, { where, own, outer }) {
  const window_ = /** @type {HTMLElement} */ (element.querySelector(".canvas-view")),
    line = /** @type {HTMLElement} */ (element.querySelector(".canvas-fate-line")),
    shade = node("div", { class: "canvas-fate", hidden: "" }),
    said = node("span", { role: "status" }),
    button = node("button", { type: "button" }, t("Use the picture's shape"));
  shade.append(node("i"), node("i"));
  line.append(said, button);
  window_.append(shade);
  button.addEventListener("click", own);
  const picture = signal(/** @type {Size | null} */ (null));
  /** @type {import("./canvas-shape.js").Fate | null} */
  let fate = null;

  function control() {
    let at = /** @type {HTMLElement | null} */ (element);
    while (at && !fieldAt(at.id)) at = at.parentElement;
    return at ? fieldAt(at.id) : undefined;
  }

  function place() {
    if (!fate || !picture.value) return;
    const { x, y, scale } = where(),
      { box } = fate,
      { width, height } = picture.value;
    const left = x + box.x * scale,
      top = y + box.y * scale;
    const wide = box.width * scale,
      high = box.height * scale;
    /** @type {(band: HTMLElement, at: number[]) => void} */
    const put = (band, [left, top, width, height]) =>
      Object.assign(band.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    const bands = /** @type {HTMLElement[]} */ ([...shade.children]);
    put(shade, fate.how === "fill" ? [left, top, wide, high] : [x, y, width * scale, height * scale]);
    const across = Math.abs(box.x), // of a band at the sides, else above and below
      deep = Math.abs(box.y);
    const [whole, tall] = fate.how === "fill" ? [wide, high] : [width * scale, height * scale];
    const band = across ? [across * scale, tall] : [whole, deep * scale];
    put(bands[0], [0, 0, ...band]);
    put(bands[1], across ? [whole - band[0], 0, ...band] : [0, tall - band[1], ...band]);
  }

  effect(() => {
    const field = control();
    const value = (/** @type {string} */ name) => field?.store.value(name);
    const size = { width: value("width"), height: value("height") };
    const mode = value("inpaint_full_res") ? undefined : value("resize_mode");
    fate = picture.value && field?.store.has("resize_mode") ? fateOf(picture.value, size, mode) : null;
    shade.hidden = line.hidden = !fate;
    window_.style.setProperty("--fate", fate?.how === "fill" ? String(size.width / size.height) : "initial");
    outer(fate?.how === "fill" ? fate.box : null);
    if (!fate) {
      setText(said, "");
      return;
    }
    shade.dataset.how = fate.how;
    setText(said, SAID[fate.how](size));
    place();
  });

  return { place, of: (/** @type {Size | null} */ size) => (picture.value = size) };
}
