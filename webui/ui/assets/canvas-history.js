// Undo and redo. An entry is {kind: "tiles", tiles}, {kind: "invert"} or {kind: "sheet", sheet}: the squares that an act
// changed, an inversion, which is its own undo, or a whole sheet, {layers, frame}. Old entries go when they take too much room.

/** @typedef {import("./canvas-layers.js").Layers} Layers */
/** @typedef {{ layers: Layers, frame: import("./canvas-frame.js").Frame }} Sheet */
/**
 * @typedef {{ kind: "tiles" | "invert" | "sheet", tiles?: import("./canvas-layers.js").Tiles, sheet?: Sheet,
 *   framing?: boolean }} Entry
 */

export class History {
  static BYTES = 256 * 2 ** 20;

  /** @param {Sheet} sheet */
  constructor(sheet) {
    this.sheet = sheet;
    /** @type {Entry[]} */
    this.past = [];
    /** @type {Entry[]} */
    this.future = [];
  }

  get top() {
    return this.past[this.past.length - 1];
  }

  /** @param {Entry} entry */
  add(entry) {
    this.past.push(entry);
    this.future = [];
    let bytes = 0;
    for (let at = this.past.length - 1; at >= 0; at--) {
      bytes += this.bytes(this.past[at]);
      if (bytes > History.BYTES && at < this.past.length - 1) {
        this.past.splice(0, at + 1);
        break;
      }
    }
  }

  undo() {
    return this.step(this.past, this.future);
  }

  redo() {
    return this.step(this.future, this.past);
  }

  /**
   * Takes an entry from one side to the other; gives it, or null where there is none.
   * @param {Entry[]} from
   * @param {Entry[]} to
   */
  step(from, to) {
    const entry = from.pop();
    if (!entry) return null;
    if (entry.kind === "tiles") this.sheet.layers.exchange(entry.tiles);
    else if (entry.kind === "invert") this.sheet.layers.invert();
    else {
      const { layers, frame } = this.sheet;
      Object.assign(this.sheet, entry.sheet);
      entry.sheet = { layers, frame };
    }
    to.push(entry);
    return entry;
  }

  /** @param {Entry} entry */
  bytes(entry) {
    if (entry.kind === "sheet") return entry.sheet.layers.bytes;
    let sum = 64;
    for (const kept of entry.kind === "tiles" ? entry.tiles.values() : [])
      sum += kept.mask.length + (kept.sketch ? kept.sketch.length : 0);
    return sum;
  }
}
