// Where a sentence stands that lies over the page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePlace } from "../../../webui/ui/assets/free-place.js";

const box = (left, top, right, bottom) => ({ left, top, right, bottom });
const covers = ({ left, top }, { width, height }, other) =>
  Math.min(left + width, other.right) > Math.max(left, other.left) &&
  Math.min(top + height, other.bottom) > Math.max(top, other.top);

const SIZE = { width: 320, height: 60 };
const DESK = [box(0, 0, 1280, 100), box(32, 110, 1064, 220), box(1080, 110, 1248, 220), box(430, 240, 1248, 700)];
const PHONE = [box(0, 0, 390, 96), box(16, 110, 374, 260), box(16, 270, 374, 330), box(16, 346, 374, 704)];

for (const [name, window, kept] of [
  ["a desk's window", { width: 1280, height: 720 }, DESK],
  ["a phone", { width: 390, height: 844 }, PHONE],
  [
    "a phone that has scrolled",
    { width: 390, height: 844 },
    PHONE.map((one) => box(one.left, one.top - 300, one.right, one.bottom - 300)),
  ],
]) {
  test(`on ${name} nothing of what is kept is covered`, () => {
    const at = freePlace(window, SIZE, kept);
    assert.ok(at.left >= 0 && at.top >= 0 && at.left + 320 <= window.width && at.top + 60 <= window.height);
    for (const one of kept) assert.ok(!covers(at, SIZE, one));
  });
}

test("where nothing is in the way it is the middle of the foot", () => {
  assert.deepEqual(freePlace({ width: 1000, height: 500 }, SIZE, []), { left: 340, top: 424 });
});

test("what is quiet is covered only where there is no other room", () => {
  const window = { width: 1000, height: 500 };
  const foot = box(0, 400, 1000, 500);
  assert.ok(freePlace(window, SIZE, [], [foot]).top <= 340);
  const rest = box(0, 0, 1000, 390);
  assert.ok(freePlace(window, SIZE, [rest], [foot]).top >= 390);
});

test("where there is no room the least is covered, inside the window", () => {
  const window = { width: 390, height: 300 };
  const at = freePlace(window, SIZE, [box(0, 0, 390, 260)]);
  assert.ok(at.top + 60 <= 300 && at.top > 200);
});
