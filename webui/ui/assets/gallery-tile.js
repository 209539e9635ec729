// A picture of the Gallery's grid, as a cell.

import { node, setText } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { titleOf } from "./picture-actions.js";

/** @param {import("./picture-actions.js").Picture} one */
export function tile(one) {
  const cell = node("div", {
    role: "gridcell",
    class: "gallery-tile",
    "data-id": one.id,
    tabindex: -1,
    "aria-selected": "false",
    translate: "no",
    draggable: "true",
  });
  const image = node("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  image.addEventListener("load", () => {
    image.dataset.there = "yes";
  });
  image.addEventListener("error", () => {
    if (image.getAttribute("src")) cell.dataset.broken = "yes";
  });
  const check = node("span", { class: "gallery-check", title: t("Select") });
  check.append(icon("check"));
  const star = node("span", { class: "gallery-starred" });
  star.append(icon("star"));
  cell.append(image, check, star);
  return Object.assign(cell, { image, star });
}

/**
 * Makes a cell say what is known of its picture now.
 * @param {any} cell
 * @param {import("./picture-actions.js").Picture} one
 * @param {boolean} selected
 * @param {boolean} fetched
 */
export function retile(cell, one, selected, fetched) {
  cell.one = one;
  const title = titleOf(one);
  if (cell.image.alt !== title) {
    setText(cell.image, title, "alt");
    setText(cell, title, "title");
  }
  const about = { prompt: title, width: one.width, height: one.height };
  const spoken = one.favourite
    ? t("{prompt}, {width} × {height}, favourite", about)
    : t("{prompt}, {width} × {height}", about);
  setText(cell, spoken, "aria-label");
  cell.star.hidden = !one.favourite;
  cell.setAttribute("aria-selected", String(selected));
  if (fetched && cell.image.getAttribute("src") !== one.thumbnail) {
    delete cell.dataset.broken;
    cell.image.src = one.thumbnail;
    if (cell.image.complete && cell.image.naturalWidth) cell.image.dataset.there = "yes";
  }
}
