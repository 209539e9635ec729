// What can be done to a picture's sheet: strokes, the acts on the whole mask, undo, another frame. Knows no buttons; tells
// `changed()` when something has changed and `say(sentence)` what is worth saying.

import * as frames from "./canvas-frame.js";
import { Lasso, Stroke } from "./canvas-gestures.js";
import { History } from "./canvas-history.js";
import { transparent } from "./canvas-input.js";
import { Layers } from "./canvas-layers.js";
import { asMask, greyPng } from "./canvas-png.js";
import * as shapes from "./canvas-shapes.js";
import { levels, View } from "./canvas-view.js";
import { t } from "./i18n.js";

export function createPainter(window_, { changed, moved, say, masks }) {
  const brush = { tool: "brush", size: 64, soft: 0, colour: null, fill: "edge" }; // size and soft as the sliders say, 0..100
  const sheet = {
    layers: new Layers(1, 1),
    frame: { ...frames.NONE },
    levels: null,
    picture: null,
    transparent: false,
  };
  const versions = { mask: 0, picture: 0 };
  let history = new History(sheet),
    gesture = null,
    act = null,
    last = null;

  const extra = { wanted: () => gesture instanceof Lasso, draw: (ink, pixel) => gesture.draw(ink, pixel) };
  const view = new View(window_.querySelector("canvas"), sheet, { extra, moved: () => moved(), before: flush });
  view.masks = masks;

  function open(picture) {
    Object.assign(sheet, { picture, frame: { ...frames.NONE }, layers: new Layers(picture.width, picture.height) });
    sheet.transparent = transparent(picture);
    history = new History(sheet);
    gesture = last = null;
    reground();
    touched("both");
    return sheet.transparent;
  }

  function close() {
    sheet.picture?.close?.();
    Object.assign(sheet, { picture: null, levels: null, layers: new Layers(1, 1), frame: { ...frames.NONE } });
    history = new History(sheet);
  }

  function reground() {
    const { width, height } = sheet.layers;
    const ground = frames.ground(sheet.picture, sheet.frame, brush.fill, sheet.transparent);
    sheet.levels = levels(ground, width, height);
    view.canvas.parentElement.style.setProperty("--ratio", String(width / height));
    view.fit();
  }

  function touched(what) {
    versions.mask++;
    if (what !== "mask") versions.picture++;
    changed();
  }

  // The brush's width in pixels: 1 to half of the longer side, even steps of the slider being even factors.
  const diameter = () => Math.max(1, (Math.max(sheet.layers.width, sheet.layers.height) / 2) ** (brush.size / 100));

  // --- Strokes ---

  const fresh = (erase) => ({ kind: "tiles", tiles: new Map(), erase, colour: erase ? null : brush.colour });

  function flush() {
    const rect = gesture?.flush();
    if (rect) view.touch(rect);
  }

  function finish(rect) {
    if (rect) view.touch(rect);
    if (act.tiles.size) {
      history.add(act);
      touched([...act.tiles.values()].some((kept) => kept.sketch) ? "both" : "mask");
    }
    act = gesture = null;
    view.ask();
  }

  const hand = {
    pans: () => brush.tool === "pan",
    hover: () => {},
    leave: () => {},
    picked: (/** @type {number[] | null} */ _colour) => {},
    down(point, event) {
      if (!sheet.picture || gesture) return;
      if (!masks && !brush.colour && brush.tool !== "eraser") return; // nothing to paint with
      if (brush.tool === "pick" || (event.altKey && brush.tool !== "lasso")) {
        hand.picked(colourAt(point));
        return;
      }
      act = fresh(brush.tool === "eraser" || event.button === 5 || (brush.tool === "lasso" && event.altKey));
      if (brush.tool === "fill") {
        fill(point);
        return;
      }
      if (brush.tool === "lasso") gesture = new Lasso(sheet.layers, act, ((diameter() / 2) * brush.soft) / 100);
      else {
        gesture = new Stroke(sheet.layers, act, diameter(), brush.soft / 100);
        if (event.shiftKey && last) gesture.add([last]); // a straight line from the last stroke's end
      }
      hand.move([point]);
    },
    move(points) {
      if (!gesture) return;
      gesture.add(points);
      if (gesture instanceof Stroke) last = points[points.length - 1];
      view.ask();
    },
    up() {
      if (!gesture) return;
      const rect = gesture.flush();
      finish(gesture instanceof Lasso ? gesture.close() : rect);
    },
    cancel() {
      if (!gesture) return;
      sheet.layers.exchange(act.tiles);
      act = gesture = null;
      view.all();
    },
  };

  function fill(point) {
    const patch = shapes.flood(sheet.layers.mask, sheet.layers, point.x, point.y);
    if (patch) sheet.layers.apply(patch, act);
    else say(t("This place is masked already."));
    finish(patch);
  }

  function colourAt({ x, y }) {
    const canvas = new OffscreenCanvas(1, 1),
      ink = canvas.getContext("2d");
    ink.drawImage(sheet.levels[0], -Math.floor(x), -Math.floor(y));
    const ground = ink.getImageData(0, 0, 1, 1).data,
      { width, height, sketch } = sheet.layers;
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    const at = 4 * (Math.floor(y) * width + Math.floor(x)),
      part = sketch ? sketch[at + 3] / 255 : 0;
    return [0, 1, 2].map((c) => Math.round((sketch ? sketch[at + c] : 0) * part + ground[c] * (1 - part)));
  }

  // --- The whole mask ---

  function replace(mask, sketch) {
    hand.up(); // a stroke that goes on ends here: what it has painted belongs to the layers that go
    const { layers, frame } = sheet,
      made = new Layers(layers.width, layers.height);
    Object.assign(made, { mask: mask || made.mask, sketch, inked: sketch ? layers.inked : made.inked });
    history.add({ kind: "sheet", sheet: { layers, frame } });
    sheet.layers = made;
    view.all();
    touched(layers.sketch !== sketch ? "both" : "mask");
  }

  function invert() {
    hand.up();
    sheet.layers.invert();
    history.add({ kind: "invert" });
    view.all();
    touched("mask");
  }

  const clear = () => {
    hand.up();
    if (!sheet.layers.blank || sheet.layers.sketched) replace(null, null);
  };
  const everything = () => {
    hand.up();
    replace(new Uint8Array(sheet.layers.mask.length).fill(255), sheet.layers.sketch);
  };
  const take = (picture) => replace(asMask(picture, sheet.layers.width, sheet.layers.height), sheet.layers.sketch);

  function maskTransparent() {
    // in addition to what is masked
    const { picture, frame, layers } = sheet,
      mask = layers.mask.slice();
    const canvas = new OffscreenCanvas(layers.width, layers.height),
      ink = canvas.getContext("2d", { willReadFrequently: true });
    ink.fillRect(0, 0, layers.width, layers.height);
    ink.clearRect(frame.left, frame.top, picture.width, picture.height);
    ink.drawImage(picture, frame.left, frame.top);
    const { data } = ink.getImageData(0, 0, layers.width, layers.height);
    for (let at = 0; at < mask.length; at++) mask[at] = Math.max(mask[at], 255 - data[4 * at + 3]);
    replace(mask, layers.sketch);
  }

  function step(which) {
    if (gesture) return;
    const before = sheet.frame,
      entry = history[which]();
    if (!entry) return;
    if (entry.kind === "sheet" && !frames.same(before, sheet.frame)) reground();
    else view.all();
    touched(entry.kind === "invert" ? "mask" : "both");
  }

  // --- The frame ---

  // Frames tried one after the other are one act, each made anew from what was there before the first.
  function reframe(wanted) {
    hand.up();
    const { frame, limited } = frames.allowed(wanted, sheet.frame, sheet.picture);
    if (limited)
      say(t("At most {longest} and at least {least} pixels a side.", { longest: frames.LONGEST, least: 64 }));
    if (frames.same(frame, sheet.frame)) return;
    const again = history.top?.framing ? history.past.pop().sheet : null;
    const base = again || { layers: sheet.layers, frame: sheet.frame };
    const back = frames.same(frame, base.frame);
    sheet.layers = back ? base.layers : frames.reframed(base.layers, base.frame, frame);
    sheet.frame = frame;
    if (!back) history.add({ kind: "sheet", framing: true, sheet: base });
    reground();
    touched("both");
  }

  function refill(kind) {
    brush.fill = kind;
    if (!frames.SIDES.some((side) => sheet.frame[side] > 0)) return;
    reground();
    touched("both");
  }

  // --- What is sent ---

  const maskFile = () =>
    sheet.layers.blank ? null : greyPng(sheet.layers.mask, sheet.layers.width, sheet.layers.height);

  // The picture with frame and sketch as a PNG; null where it is what was given.
  function pictureFile() {
    const { layers, frame } = sheet,
      { width, height, sketch } = layers,
      sketched = layers.sketched;
    if (!sketched && frames.same(frame, frames.NONE)) return null;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const ink = canvas.getContext("2d"),
      stripe = new OffscreenCanvas(width, Math.min(256, height));
    ink.fillStyle = "#fff";
    ink.fillRect(0, 0, width, height);
    ink.drawImage(sheet.levels[0], 0, 0);
    const over = stripe.getContext("2d");
    for (let top = 0; sketched && top < height; top += stripe.height) {
      const rows = Math.min(stripe.height, height - top);
      over.clearRect(0, 0, width, stripe.height);
      over.putImageData(new ImageData(sketch.slice(4 * top * width, 4 * (top + rows) * width), width, rows), 0, 0);
      ink.drawImage(stripe, 0, top);
    }
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  return {
    brush,
    sheet,
    versions,
    view,
    hand,
    diameter,
    open,
    close,
    invert,
    clear,
    everything,
    take,
    maskTransparent,
    reframe,
    refill,
    maskFile,
    pictureFile,
    undo: () => step("undo"),
    redo: () => step("redo"),
    can: () => ({ undo: history.past.length > 0, redo: history.future.length > 0 }),
    size: () => frames.sizeOf(sheet.picture, sheet.frame),
    fit(outer) {
      view.outer = outer;
      if (sheet.picture && view.fitted) view.fit();
    },
  };
}
