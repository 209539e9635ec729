// What is seen of a sheet: zoom and pan, and the one canvas on which picture, sketch and mask are drawn. It is as large as
// the window onto the picture, so a frame costs what is seen, whatever the picture's size; a stroke redraws what it touched.

import { Layers } from "./canvas-layers.js";

export class View {
  static PIXELS = 3e6; // of the canvas at most; beyond them a fine screen is drawn coarser
  static TINT = [147, 51, 234]; // violet, rare in pictures
  static LARGEST = 32; // times

  /**
   * `canvas` fills its parent; `sheet` is {layers, frame, levels}; `extra` is drawn over it while `extra.wanted()`, by
   * `extra.draw(ink, one screen pixel)`; `moved()` is told of zoom and pan, `before()` that a frame is about to be drawn.
   * @param {HTMLCanvasElement} canvas
   * @param {any} sheet
   * @param {{ extra: { wanted(): boolean, draw(ink: CanvasRenderingContext2D, pixel: number): void }, moved(): void, before(): void }} how
   */
  constructor(canvas, sheet, { extra, moved, before }) {
    this.canvas = canvas;
    this.sheet = sheet;
    this.extra = extra;
    this.moved = moved;
    this.before = before;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.margin = 0;
    this.masks = true; // are shown
    /** @type {import("./canvas-shapes.js").Size | null} */
    this.outer = null; // of what is to be seen around the sheet, in its pixels
    this.fitted = true;
    /** @type {import("./canvas-gestures.js").Box | null} */
    this.dirty = null;
    this.groundDirty = true;
    this.asked = 0;
    this.screen = canvas.getContext("2d", { alpha: false, desynchronized: true });
    this.below = document.createElement("canvas"); // the picture as it is seen
    this.above = document.createElement("canvas"); // sketch and mask as they are seen
    this.alphas = Uint32Array.from({ length: 256 }, (_, mask) => this.tint(Math.round(mask * 0.55)));
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    new MutationObserver(() => this.all()).observe(document.body, { attributeFilter: ["class"] }); // light or dark
  }

  /** @param {number} alpha */
  tint(alpha) {
    const [r, g, b] = View.TINT;
    return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0; // as ImageData's bytes lie in memory
  }

  // --- Where things are ---

  get box() {
    return { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
  }

  get whole() {
    // the scale at which all of the sheet is seen
    const width = Math.max(this.sheet.layers.width, this.outer?.width ?? 0),
      height = Math.max(this.sheet.layers.height, this.outer?.height ?? 0);
    const box = this.box,
      free = 1 - 2 * this.margin;
    return Math.min((box.width * free) / width, (box.height * free) / height) || 1;
  }

  /**
   * @param {number} clientX
   * @param {number} clientY
   */
  at(clientX, clientY) {
    const around = this.canvas.getBoundingClientRect();
    return { x: (clientX - around.left - this.x) / this.scale, y: (clientY - around.top - this.y) / this.scale };
  }

  fit() {
    this.fitted = true;
    this.scale = this.whole;
    this.centre();
    this.all();
  }

  centre() {
    const { width, height } = this.sheet.layers,
      box = this.box;
    this.x = (box.width - width * this.scale) / 2;
    this.y = (box.height - height * this.scale) / 2;
  }

  /**
   * Zooms about a place of the window, in its pixels; without one about its middle.
   * @param {number} factor
   * @param {number} [x]
   * @param {number} [y]
   */
  zoom(factor, x = this.box.width / 2, y = this.box.height / 2) {
    const before = this.scale,
      least = Math.min(this.whole, 1); // a small picture may be seen at its own size
    const scale = Math.min(View.LARGEST, Math.max(least, before * factor));
    if (Math.abs(scale / this.whole - 1) < 0.002) {
      this.fit();
      return;
    }
    this.x = x - ((x - this.x) * scale) / before;
    this.y = y - ((y - this.y) * scale) / before;
    this.scale = scale;
    this.fitted = false;
    this.hold();
    this.all();
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  pan(dx, dy) {
    if (this.fitted) return;
    this.x += dx;
    this.y += dy;
    this.hold();
    this.all();
  }

  hold() {
    // the window's middle stays on the sheet
    const { width, height } = this.sheet.layers,
      box = this.box;
    this.x = Math.min(box.width / 2, Math.max(box.width / 2 - width * this.scale, this.x));
    this.y = Math.min(box.height / 2, Math.max(box.height / 2 - height * this.scale, this.y));
  }

  resize() {
    const { width, height } = this.box;
    if (!width || !height) return;
    const fine = Math.min(window.devicePixelRatio || 1, Math.sqrt(View.PIXELS / (width * height)));
    this.fine = fine;
    for (const one of [this.canvas, this.below, this.above]) {
      one.width = Math.max(1, Math.round(width * fine));
      one.height = Math.max(1, Math.round(height * fine));
    }
    this.ink = this.above.getContext("2d", { willReadFrequently: true });
    this.seen = this.ink.createImageData(this.canvas.width, this.canvas.height);
    this.words = new Uint32Array(this.seen.data.buffer);
    if (this.fitted) this.fit();
    else {
      this.hold();
      this.all();
    }
    this.frame(); // a canvas of another size is empty until it is drawn
  }

  // --- Drawing ---

  all() {
    this.groundDirty = true;
    this.touch({ x: -1e6, y: -1e6, width: 2e6, height: 2e6 });
    this.moved();
  }

  /** @param {import("./canvas-gestures.js").Box} rect */
  touch(rect) {
    // of the sheet, in its pixels
    const old = this.dirty;
    if (!old) this.dirty = { ...rect };
    else {
      const x = Math.min(old.x, rect.x),
        y = Math.min(old.y, rect.y);
      this.dirty = {
        x,
        y,
        width: Math.max(old.x + old.width, rect.x + rect.width) - x,
        height: Math.max(old.y + old.height, rect.y + rect.height) - y,
      };
    }
    this.ask();
  }

  ask() {
    if (!this.asked)
      this.asked = requestAnimationFrame(() => {
        this.asked = 0;
        this.before();
        this.frame();
      });
  }

  frame() {
    if (!this.seen || !this.sheet.levels) return;
    const { canvas, screen } = this,
      zoom = this.scale * this.fine,
      left = this.x * this.fine,
      top = this.y * this.fine;
    if (this.groundDirty) this.drawGround(zoom, left, top);
    this.groundDirty = false;
    if (this.dirty) {
      const x = Math.max(0, Math.floor(left + this.dirty.x * zoom) - 1),
        y = Math.max(0, Math.floor(top + this.dirty.y * zoom) - 1);
      const right = Math.min(canvas.width, Math.ceil(left + (this.dirty.x + this.dirty.width) * zoom) + 1);
      const bottom = Math.min(canvas.height, Math.ceil(top + (this.dirty.y + this.dirty.height) * zoom) + 1);
      this.dirty = null;
      if (x < right && y < bottom) {
        this.drawLayers(x, y, right, bottom, zoom, left, top);
        this.ink.putImageData(this.seen, 0, 0, x, y, right - x, bottom - y);
        if (!this.decorated) this.show(x, y, right - x, bottom - y);
      }
    }
    const decorates = this.extra.wanted();
    if (decorates || this.decorated) this.show(0, 0, canvas.width, canvas.height);
    if (decorates) {
      screen.save();
      screen.setTransform(zoom, 0, 0, zoom, left, top);
      this.extra.draw(screen, 1 / zoom);
      screen.restore();
    }
    this.decorated = decorates;
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  show(x, y, width, height) {
    this.screen.drawImage(this.below, x, y, width, height, x, y, width, height);
    this.screen.drawImage(this.above, x, y, width, height, x, y, width, height);
  }

  /**
   * @param {number} zoom
   * @param {number} left
   * @param {number} top
   */
  drawGround(zoom, left, top) {
    const { canvas } = this,
      { width, height } = this.sheet.layers,
      ink = this.below.getContext("2d", { alpha: false });
    ink.fillStyle = getComputedStyle(canvas.parentElement).backgroundColor; // light or dark
    ink.fillRect(0, 0, canvas.width, canvas.height);
    ink.fillStyle = "#fff";
    ink.fillRect(left, top, width * zoom, height * zoom);
    const levels = this.sheet.levels; // the picture, half of it, a quarter ...
    let level = 0;
    while (level + 1 < levels.length && zoom * 2 ** (level + 1) <= 1) level++;
    ink.imageSmoothingEnabled = zoom < 4;
    ink.drawImage(levels[level], left, top, width * zoom, height * zoom);
  }

  /**
   * The sketch, and the mask as a tint over it, into `seen`: canvas pixels x..right, y..bottom.
   * @param {number} x
   * @param {number} y
   * @param {number} right
   * @param {number} bottom
   * @param {number} zoom
   * @param {number} left
   * @param {number} top
   */
  drawLayers(x, y, right, bottom, zoom, left, top) {
    const { mask, sketch, inked, across, width, height } = this.sheet.layers,
      { words, alphas } = this,
      own = View.TINT;
    const side = Layers.TILE,
      spread = zoom < 0.75 ? 0.25 : 0; // four samples where several pixels fall into one
    const near = this.places(x, right, left, zoom, -spread),
      far = this.places(x, right, left, zoom, spread);
    const tiles = sketch ? near.map((column) => Math.floor(column / side)) : near;
    for (let row = y; row < bottom; row++) {
      const first = Math.floor((row + 0.5 - spread - top) / zoom),
        second = Math.floor((row + 0.5 + spread - top) / zoom);
      let to = row * this.canvas.width + x;
      if (first < 0 || second >= height) {
        words.fill(0, to, to + right - x);
        continue;
      }
      const one = first * width,
        two = second * width,
        tile = Math.floor(first / side) * across;
      for (let at = 0; at < near.length; at++, to++) {
        const a = near[at],
          b = far[at];
        if (a < 0 || b >= width) {
          words[to] = 0;
          continue;
        }
        const masked = !this.masks
          ? 0
          : spread
            ? (mask[one + a] + mask[one + b] + mask[two + a] + mask[two + b] + 2) >> 2
            : mask[one + a];
        const coloured = sketch && inked[tile + tiles[at]] && sketch[4 * (one + a) + 3];
        words[to] = coloured ? this.over(sketch, 4 * (one + a), masked, own) : alphas[masked];
      }
    }
  }

  /**
   * The sheet's columns under canvas columns x..right.
   * @param {number} x
   * @param {number} right
   * @param {number} left
   * @param {number} zoom
   * @param {number} shift
   */
  places(x, right, left, zoom, shift) {
    const columns = new Int32Array(right - x);
    for (let at = 0; at < columns.length; at++) columns[at] = Math.floor((x + at + 0.5 + shift - left) / zoom);
    return columns;
  }

  /**
   * @param {import("./canvas-layers.js").Bytes} sketch
   * @param {number} at
   * @param {number} masked
   * @param {number[]} own
   */
  over(sketch, at, masked, own) {
    // a colour, with so little of the tint `own` that it is still that colour
    const opaque = sketch[at + 3] / 255,
      tint = (masked / 255) * (0.55 - 0.43 * opaque),
      below = opaque * (1 - tint),
      sum = tint + below;
    const colour = below / sum,
      violet = tint / sum;
    const red = own[0] * violet + sketch[at] * colour,
      green = own[1] * violet + sketch[at + 1] * colour,
      blue = own[2] * violet + sketch[at + 2] * colour;
    return (((255 * sum) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }
}

/**
 * A picture and its halves, down to about a thousand pixels: a large one is drawn small from one of these.
 * @param {import("./canvas-frame.js").Picture} picture
 * @param {number} width
 * @param {number} height
 */
export function levels(picture, width, height) {
  const levels = [picture];
  while (Math.max(width, height) > 1200) {
    width = Math.max(1, Math.round(width / 2));
    height = Math.max(1, Math.round(height / 2));
    const half = document.createElement("canvas");
    half.width = width;
    half.height = height;
    half.getContext("2d").drawImage(levels[levels.length - 1], 0, 0, width, height);
    levels.push(half);
  }
  return levels;
}
