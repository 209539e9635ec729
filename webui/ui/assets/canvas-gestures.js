// What a moving pointer draws: a brush's stroke, as it goes, and a lasso's outline, when it closes.

import * as shapes from "./canvas-shapes.js";

/** @typedef {{ x: number, y: number, pressure: number }} Point in the sheet's pixels, pressure 0..1 */
/** @typedef {{ x: number, y: number, width: number, height: number }} Box */

/**
 * The smallest box around both.
 * @param {Box | null} a
 * @param {Box | null} b
 * @returns {Box | null}
 */
export function union(a, b) {
  if (!a || !b) return a || b;
  const x = Math.min(a.x, b.x),
    y = Math.min(a.y, b.y);
  return {
    x,
    y,
    width: Math.max(a.x + a.width, b.x + b.width) - x,
    height: Math.max(a.y + a.height, b.y + b.height) - y,
  };
}

// A stroke of a round brush into `layers`. Points wait until `flush`, which gives the rectangle that they changed.
export class Stroke {
  /**
   * @param {import("./canvas-layers.js").Layers} layers
   * @param {import("./canvas-layers.js").Act} act
   * @param {number} diameter in the sheet's pixels
   * @param {number} softness 0..1
   */
  constructor(layers, act, diameter, softness) {
    this.layers = layers;
    this.act = act;
    this.diameter = diameter;
    this.softness = softness;
    /** @type {Point[]} */
    this.waiting = [];
    /** @type {import("./canvas-shapes.js").Dab | null} */
    this.last = null;
  }

  /** @param {Point[]} points */
  add(points) {
    this.waiting.push(...points);
  }

  flush() {
    let changed = null;
    for (const point of this.waiting) {
      const next = {
        x: point.x,
        y: point.y,
        r: Math.max(0.5, (this.diameter / 2) * (point.pressure < 1 ? 0.15 + 0.85 * point.pressure : 1)),
      };
      const from = this.last || next,
        length = Math.hypot(next.x - from.x, next.y - from.y);
      const pieces = Math.max(1, Math.ceil(length / Math.max(4 * next.r, 48))); // a long thin line has a large, empty box
      const at = (/** @type {number} */ part) => ({
        x: from.x + (next.x - from.x) * part,
        y: from.y + (next.y - from.y) * part,
        r: from.r + (next.r - from.r) * part,
      });
      for (let piece = 0; piece < pieces; piece++) {
        const patch = shapes.capsule(at(piece / pieces), at((piece + 1) / pieces), this.softness, this.layers);
        if (!patch) continue;
        this.layers.apply(patch, this.act);
        changed = union(changed, patch);
      }
      this.last = next;
    }
    this.waiting = [];
    return changed && { x: changed.x, y: changed.y, width: changed.width, height: changed.height };
  }
}

// A free outline; `close` fills it, soft over `fade` pixels inside of it. `draw` shows it meanwhile, lines of `pixel` sheet pixels being one of the screen.
export class Lasso {
  /**
   * @param {import("./canvas-layers.js").Layers} layers
   * @param {import("./canvas-layers.js").Act} act
   * @param {number} fade in the sheet's pixels
   */
  constructor(layers, act, fade) {
    this.layers = layers;
    this.act = act;
    this.fade = fade;
    /** @type {Point[]} */
    this.points = [];
  }

  /** @param {Point[]} points */
  add(points) {
    this.points.push(...points);
  }

  /** @returns {Box | null} */
  flush() {
    return null;
  }

  close() {
    const patch = this.points.length > 2 && shapes.polygon(this.points, this.layers, this.fade);
    if (!patch) return null;
    this.layers.apply(patch, this.act);
    return { x: patch.x, y: patch.y, width: patch.width, height: patch.height };
  }

  /**
   * @param {CanvasRenderingContext2D} ink
   * @param {number} pixel
   */
  draw(ink, pixel) {
    const outline = new Path2D();
    for (const { x, y } of this.points) outline.lineTo(x, y);
    outline.closePath();
    ink.fillStyle = "rgba(147, 51, 234, 0.25)";
    ink.fill(outline, "evenodd");
    for (const [colour, dash] of /** @type {[string, number[]][]} */ ([
      ["#fff", []],
      ["#000", [4 * pixel, 4 * pixel]],
    ])) {
      ink.strokeStyle = colour;
      ink.lineWidth = 1.5 * pixel;
      ink.setLineDash(dash);
      ink.stroke(outline);
    }
  }
}
