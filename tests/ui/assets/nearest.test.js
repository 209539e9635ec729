// What was typed into a number's field, and what the field takes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "../../../webui/ui/assets/nearest.js";

const WIDTH = ["Width", 64, 2048, 8];

for (const [given, limit, set, why] of [
  [4000, WIDTH, 2048, "Width: 4000 is more than 2048; set to 2048"],
  [10, WIDTH, 64, "Width: 10 is less than 64; set to 64"],
  [100, ["Height", 64, 2048, 8], 104, "Height: 100 is not a multiple of 8; set to 104"],
  [2.6, ["Number of pictures", 1, 8, 1], 3, "Number of pictures: 2.6 is not a whole number; set to 3"],
  [-7, ["Seed", -1, 2 ** 32 - 1, 1], -1, "Seed: -7 is less than -1; set to -1"],
  [0.123, ["CFG", 0, 30, 0], 0.123, ""],
]) {
  test(`${given} for ${limit[0]} is ${set}`, () => {
    const [number, sentence] = nearest(given, limit);
    assert.deepEqual([number, String(sentence)], [set, why]);
  });
}

test("what is set is taken, and nothing that is taken is nearer", () => {
  for (let given = 0; given <= 2200; given += 0.5) {
    const [set] = nearest(given, WIDTH);
    assert.ok(set >= 64 && set <= 2048 && set % 8 === 0);
    assert.deepEqual(nearest(set, WIDTH), [set, ""]);
    assert.ok(Math.abs(set - given) <= 4 || given < 64 || given > 2048);
  }
});
