// The pictures of one job, each in its place.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cellsOf, columnsFor } from "../../../webui/ui/assets/stage-grid.js";

test("while a job runs each picture has its place, whichever is finished first", () => {
  const cells = cellsOf({
    number: 5,
    pictures: [{ place: 2, key: "j/c.png", thumbnail: "c" }],
    running: [
      { place: 0, part: 0.35, look: "a" },
      { place: 3, part: 0, look: "" },
    ],
    skipped: [1],
  });
  const told = cells.map(({ place, state, look, part, key }) => [place, state, look, part, key]);
  assert.deepEqual(told, [
    [0, "running", "a", 0.35, ""],
    [1, "skipped", "", 0, ""],
    [2, "made", "c", 1, "j/c.png"],
    [3, "running", "", 0, ""],
    [4, "waiting", "", 0, ""],
  ]);
});

test("pictures stand in as many columns as make them largest", () => {
  const wide = { clientWidth: 800, clientHeight: 400 };
  assert.equal(columnsFor(wide, 2, 1), 2);
  assert.equal(columnsFor(wide, 8, 1), 4);
  assert.equal(columnsFor({ clientWidth: 390, clientHeight: 500 }, 12, 1), 3);
  assert.equal(columnsFor(wide, 3, 4), 1);
});
