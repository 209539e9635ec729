// What becomes of a picture at a size of another shape, as the page shows it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fateOf, sameShape } from "../../../webui/ui/assets/canvas-shape.js";

const WIDE = { width: 600, height: 200 };
const SQUARE = { width: 512, height: 512 };

test("proportions are the same as nearly as whole pixels can, as in tests/types/test_shapes.py", () => {
  const same = (a, b, c, d) => sameShape({ width: a, height: b }, { width: c, height: d });
  assert.ok(same(512, 512, 64, 64) && same(4032, 3024, 2048, 1536) && same(152, 101, 768, 512));
  assert.ok(!same(1000, 667, 1000, 664) && !same(600, 200, 512, 512));
});

test("the middle is kept, all of it stands in the middle, or it is stretched", () => {
  assert.deepEqual(fateOf(WIDE, SQUARE, 1), { how: "crop", box: { x: 200, y: 0, width: 200, height: 200 } });
  assert.deepEqual(fateOf(WIDE, SQUARE, 2), { how: "fill", box: { x: 0, y: -200, width: 600, height: 600 } });
  assert.deepEqual(fateOf(WIDE, SQUARE, 0), { how: "stretch", box: { x: 0, y: 0, width: 600, height: 200 } });
  const tall = { width: 200, height: 600 };
  assert.deepEqual(fateOf(tall, SQUARE, 1).box, { x: 0, y: 200, width: 200, height: 200 });
});

test("nothing is shown of the same shape, of rounded sides, and where the size or the mode is not known", () => {
  for (const mode of [0, 1, 2]) {
    assert.equal(fateOf(WIDE, { width: 768, height: 256 }, mode), null);
    assert.equal(fateOf({ width: 1003, height: 667 }, { width: 632, height: 416 }, mode), null);
    assert.equal(fateOf(WIDE, { width: 512, height: null }, mode), null);
  }
  assert.equal(fateOf(WIDE, SQUARE, undefined), null);
});
