// What is painted over a picture, in the picture's pixels: the mask, a byte a pixel (255 = repaint), and the sketch, RGBA,
// made when somebody first paints a colour. Plain arrays: a stroke costs what it touches, at any size of the picture.

/** @typedef {import("./canvas-shapes.js").Patch} Patch */
/** @typedef {Uint8Array | Uint8ClampedArray} Bytes */
/** @typedef {{ mask: Bytes, sketch: Bytes | null, cover: Uint8Array | null }} Tile what was there before an act */
/** @typedef {Map<number, Tile>} Tiles by the square's place, row by row */
/** @typedef {{ kind: "tiles", tiles: Tiles, erase: boolean, colour: number[] | null }} Act colour: RGB, 0..255 */

export class Layers {
  static TILE = 128; // pixels; what an act changes is kept in squares of this side

  /**
   * @param {number} width
   * @param {number} height
   */
  constructor(width, height) {
    const side = Layers.TILE;
    this.across = Math.ceil(width / side); // squares in a row
    this.inked = new Uint8Array(this.across * Math.ceil(height / side)); // which of them a colour was painted in
    this.width = width;
    this.height = height;
    this.mask = new Uint8Array(width * height);
    /** @type {Uint8ClampedArray | null} */
    this.sketch = null;
  }

  get bytes() {
    return this.mask.length * (this.sketch ? 5 : 1);
  }

  get blank() {
    for (let at = 0; at < this.mask.length; at++) if (this.mask[at]) return false;
    return true;
  }

  get sketched() {
    if (this.sketch) for (let at = 3; at < this.sketch.length; at += 4) if (this.sketch[at]) return true;
    return false;
  }

  /**
   * Paints a patch. `act` says how, {erase, colour}, and keeps in `tiles` what was there before. Where a stroke crosses
   * itself it is as strong as where it does not.
   * @param {Patch} patch
   * @param {Act} act
   */
  apply(patch, act) {
    const side = Layers.TILE,
      right = patch.x + patch.width,
      bottom = patch.y + patch.height;
    if (act.colour && !this.sketch) this.sketch = new Uint8ClampedArray(4 * this.width * this.height);
    for (let ty = Math.floor(patch.y / side); ty * side < bottom; ty++) {
      for (let tx = Math.floor(patch.x / side); tx * side < right; tx++) {
        const kept = this.keep(act, tx, ty);
        const x0 = Math.max(patch.x, tx * side),
          x1 = Math.min(right, tx * side + side);
        const y1 = Math.min(bottom, ty * side + side);
        for (let y = Math.max(patch.y, ty * side); y < y1; y++) {
          const from = (y - patch.y) * patch.width + x0 - patch.x,
            to = y * this.width + x0;
          this.maskRow(patch.data, from, to, x1 - x0, act.erase);
          if (kept.sketch)
            this.sketchRow(patch.data, from, to, x1 - x0, (y - ty * side) * side + x0 - tx * side, kept, act);
        }
      }
    }
  }

  /**
   * @param {Bytes} data
   * @param {number} from
   * @param {number} to
   * @param {number} count
   * @param {boolean} erase
   */
  maskRow(data, from, to, count, erase) {
    const mask = this.mask;
    for (const end = to + count; to < end; to++, from++) {
      if (erase) {
        if (mask[to] > 255 - data[from]) mask[to] = 255 - data[from];
      } else if (mask[to] < data[from]) mask[to] = data[from];
    }
  }

  /**
   * @param {Bytes} data
   * @param {number} from
   * @param {number} to
   * @param {number} count
   * @param {number} at
   * @param {Tile} kept
   * @param {Act} act
   */
  sketchRow(data, from, to, count, at, kept, act) {
    const { sketch } = this,
      { cover, sketch: before } = kept;
    for (const end = to + count; to < end; to++, from++, at++) {
      if (data[from] <= cover[at]) continue;
      cover[at] = data[from];
      const part = cover[at] / 255,
        below = (before[4 * at + 3] / 255) * (1 - part);
      if (act.erase) {
        sketch[4 * to + 3] = 255 * below;
        continue;
      }
      for (let c = 0; c < 3; c++)
        sketch[4 * to + c] = (act.colour[c] * part + before[4 * at + c] * below) / (part + below);
      sketch[4 * to + 3] = 255 * (part + below);
    }
  }

  /**
   * @param {Act} act
   * @param {number} tx
   * @param {number} ty
   */
  keep(act, tx, ty) {
    const index = ty * this.across + tx;
    let kept = act.tiles.get(index);
    if (!kept) {
      const side = Layers.TILE,
        coloured = act.colour || act.erase ? this.sketch : null;
      kept = {
        mask: this.cut(this.mask, tx, ty, 1),
        sketch: coloured ? this.cut(coloured, tx, ty, 4) : null,
        cover: coloured ? new Uint8Array(side * side) : null,
      };
      act.tiles.set(index, kept);
      if (act.colour) this.inked[index] = 1;
    }
    return kept;
  }

  /**
   * Puts kept squares back, and keeps what was there instead: undo and redo alike.
   * @param {Tiles} tiles
   */
  exchange(tiles) {
    for (const [index, kept] of tiles) {
      const tx = index % this.across,
        ty = Math.floor(index / this.across);
      kept.mask = this.paste(this.mask, kept.mask, tx, ty, 1);
      if (kept.sketch) kept.sketch = this.paste(this.sketch, kept.sketch, tx, ty, 4);
    }
  }

  /**
   * @param {number} tx
   * @param {number} ty
   */
  rows(tx, ty) {
    const side = Layers.TILE;
    return {
      width: Math.min(side, this.width - tx * side),
      height: Math.min(side, this.height - ty * side),
      start: (/** @type {number} */ y) => (ty * side + y) * this.width + tx * side,
    };
  }

  /**
   * @template {Bytes} T
   * @param {T} layer
   * @param {number} tx
   * @param {number} ty
   * @param {number} depth
   */
  cut(layer, tx, ty, depth) {
    const side = Layers.TILE,
      tile = /** @type {T} */ (new /** @type {any} */ (layer).constructor(side * side * depth));
    const { width, height, start } = this.rows(tx, ty);
    for (let y = 0; y < height; y++)
      tile.set(layer.subarray(start(y) * depth, (start(y) + width) * depth), y * side * depth);
    return tile;
  }

  /**
   * @template {Bytes} T
   * @param {T} layer
   * @param {Bytes} tile
   * @param {number} tx
   * @param {number} ty
   * @param {number} depth
   */
  paste(layer, tile, tx, ty, depth) {
    const before = this.cut(layer, tx, ty, depth),
      side = Layers.TILE;
    const { width, height, start } = this.rows(tx, ty);
    for (let y = 0; y < height; y++)
      layer.set(tile.subarray(y * side * depth, (y * side + width) * depth), start(y) * depth);
    return before;
  }

  invert() {
    for (let at = 0; at < this.mask.length; at++) this.mask[at] = 255 - this.mask[at];
  }

  /**
   * These layers on a sheet of another size, moved by (dx, dy); what is new is masked.
   * @param {number} dx
   * @param {number} dy
   * @param {number} width
   * @param {number} height
   */
  moved(dx, dy, width, height) {
    const made = new Layers(width, height);
    made.mask.fill(255);
    if (this.sketch) {
      made.sketch = new Uint8ClampedArray(4 * width * height);
      made.inked.fill(1);
    }
    const x0 = Math.max(0, dx),
      x1 = Math.min(width, this.width + dx);
    for (let y = Math.max(0, dy); y < Math.min(height, this.height + dy) && x0 < x1; y++) {
      const from = (y - dy) * this.width - dx,
        to = y * width;
      made.mask.set(this.mask.subarray(from + x0, from + x1), to + x0);
      if (this.sketch) made.sketch.set(this.sketch.subarray(4 * (from + x0), 4 * (from + x1)), 4 * (to + x0));
    }
    return made;
  }
}
