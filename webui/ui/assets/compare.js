// Two pictures in one place, with a slider between them.

import { node } from "./dom.js";
import { t } from "./i18n.js";
import { iconButton } from "./icons.js";
import { openDialog } from "./overlays.js";
import { titleOf } from "./picture-actions.js";

/** @type {Record<string, string>} as CSS has them */
const FITS = { "Just resize": "fill", "Crop and resize": "cover", "Resize and fill": "contain" };

/**
 * How a picture lies over what was made of it: as it was brought to its size.
 * @param {string} parameters of that
 */
export const fitOf = (parameters) => FITS[parameters.match(/.*, Resize mode: ([\w ]+)/s)?.[1] ?? ""] ?? "";

/**
 * `left` and `right` are items as the viewer takes them; the right one's shape is the place's.
 * @param {import("./picture-actions.js").Picture} left
 * @param {import("./picture-actions.js").Picture} right
 */
export function compare(left, right) {
  const dialog = node("dialog", { class: "viewer compare", "aria-label": t("Two pictures compared") });
  const ground = node("div", { class: "compare-ground" });
  const place = node("div", { class: "compare-place" });
  place.style.setProperty("--ratio", String(right.width / right.height));
  const image = (/** @type {import("./picture-actions.js").Picture} */ item, /** @type {string} */ side) =>
    node("img", { src: item.url, alt: titleOf(item) || side, class: "compare-" + side, draggable: "false" });
  const slider = node("div", {
    class: "compare-slider",
    role: "slider",
    tabindex: "0",
    "aria-valuemin": "0",
    "aria-valuemax": "100",
    "aria-label": t("Border between the two pictures"),
  });
  slider.append(node("i", {}));
  const told = (/** @type {import("./picture-actions.js").Picture} */ item) =>
    item.source ? t("The picture it was made of") : item.name || "";
  const labels = node("div", { class: "viewer-head" });
  labels.append(
    node("span", { translate: "no" }, told(left)),
    node("span", { class: "compare-right-name", translate: "no" }, told(right)),
    iconButton("close", t("Close (Esc)"), () => dialog.close(), { plain: true }),
  );
  const under = image(left, "left");
  if (left.source) under.style.objectFit = fitOf(right.parameters ?? "");
  place.append(image(right, "right"), under, slider);
  ground.append(place);
  dialog.append(ground, labels);

  let at = 50;
  const move = (/** @type {number} */ to) => {
    at = Math.min(Math.max(to, 0), 100);
    place.style.setProperty("--at", at + "%");
    slider.setAttribute("aria-valuenow", Math.round(at));
  };
  const follow = (/** @type {PointerEvent} */ event) => {
    const box = place.getBoundingClientRect();
    move(((event.clientX - box.left) / box.width) * 100);
  };
  place.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    place.setPointerCapture(event.pointerId);
    slider.focus();
    follow(event);
  });
  place.addEventListener("pointermove", (event) => {
    if (place.hasPointerCapture(event.pointerId)) follow(event);
  });
  dialog.addEventListener("keydown", (event) => {
    const far = event.shiftKey ? 10 : 2;
    const to = {
      ArrowLeft: at - far,
      ArrowDown: at - far,
      ArrowRight: at + far,
      ArrowUp: at + far,
      Home: 0,
      End: 100,
      PageUp: at + 10,
      PageDown: at - 10,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    move(to);
  });
  openDialog(dialog);
  move(50);
  slider.focus();
}
