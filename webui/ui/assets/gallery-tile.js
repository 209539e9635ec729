// A picture of the Gallery's grid, as a cell.
"use strict";
window.Easel = window.Easel || {};
Easel.pictures = Easel.pictures || {};

Easel.pictures.PROMPT = 120;  // characters of a prompt that a cell says

// What a picture is called: how its prompt begins, else its file's name.
Easel.pictures.title = function (one) {
  const text = (one.prompt || "").replace(/\s+/g, " ").trim() || one.name.split("/").pop();
  return text.length > Easel.pictures.PROMPT ? text.slice(0, Easel.pictures.PROMPT - 1) + "…" : text;
};

Easel.pictures.tile = function (one) {
  const cell = Easel.node("div", { role: "gridcell", class: "gallery-tile", "data-id": one.id, tabindex: -1,
    "aria-selected": "false", translate: "no", draggable: "true" });
  const image = Easel.node("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  image.addEventListener("load", () => { image.dataset.there = "yes"; });
  image.addEventListener("error", () => { if (image.getAttribute("src")) cell.dataset.broken = "yes"; });
  const check = Easel.node("span", { class: "gallery-check", title: Easel.t("Select") });
  check.append(Easel.icon("check"));
  const star = Easel.node("span", { class: "gallery-starred" });
  star.append(Easel.icon("star"));
  cell.append(image, check, star);
  return Object.assign(cell, { image, star });
};

// Makes a cell say what is known of its picture now.
Easel.pictures.retile = function (cell, one, selected, fetched) {
  cell.one = one;
  const title = Easel.pictures.title(one);
  if (cell.image.alt !== title) {
    cell.image.alt = title;
    cell.title = title;
  }
  const spoken = Easel.t(one.favourite ? "{prompt}, {width} × {height}, favourite" : "{prompt}, {width} × {height}",
    { prompt: title, width: one.width, height: one.height });
  if (cell.getAttribute("aria-label") !== spoken) cell.setAttribute("aria-label", spoken);
  cell.star.hidden = !one.favourite;
  cell.setAttribute("aria-selected", String(selected));
  if (fetched && cell.image.getAttribute("src") !== one.thumbnail) {
    delete cell.dataset.broken;
    cell.image.src = one.thumbnail;
    if (cell.image.complete && cell.image.naturalWidth) cell.image.dataset.there = "yes";
  }
};
