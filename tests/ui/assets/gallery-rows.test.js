// How pictures are laid out in rows, in numbers.

import assert from "node:assert/strict";
import { test } from "node:test";
import { blockAt, rows } from "../../../webui/ui/assets/gallery-rows.js";

const SIZE = { height: 200, gap: 8, heading: 48 };

// Whole numbers from 0 to `below` - 1, the same for a seed (Park and Miller's generator, 1988).
function chance(seed) {
  let state = seed;
  return (below) => {
    state = (state * 16807) % 2147483647;
    return state % below;
  };
}

function album(seed, number) {
  const next = chance(seed);
  return Array.from({ length: number }, (_, id) => ({
    id,
    width: 16 + next(2033),
    height: 16 + next(2033),
    day: `2026-01-0${9 - Math.floor((id * 7) / number)}`,
  }));
}

const isRow = (block) => block.day === undefined;

for (const width of [320, 358, 800, 1230, 1800]) {
  test(`rows hold every picture once and fill a width of ${width}`, () => {
    const some = album(width, 250);
    const laid = rows(some, width, SIZE).blocks.filter(isRow);
    const held = laid.flatMap(({ from, to }) => some.slice(from, to).map(({ id }) => id));
    assert.deepEqual(held, [...some.keys()]);
    for (const { from, to, lefts, widths, height } of laid) {
      const days = new Set(some.slice(from, to).map(({ day }) => day));
      assert.equal(days.size, 1);
      const ends = lefts.map((left, i) => left + widths[i]);
      assert.ok(ends.at(-1) <= width + 1);
      const isLast = to === some.length || !days.has(some[to].day);
      assert.ok(isLast || Math.abs(ends.at(-1) - width) <= 1);
      lefts.slice(1).forEach((left, i) => {
        assert.ok(Math.abs(left - ends[i] - SIZE.gap) <= 1);
      });
      assert.ok(height >= 60 && height <= SIZE.height * 1.36);
    }
  });
}

test("blocks stand below each other, the newest day first", () => {
  const laid = rows(album(3, 120), 1000, SIZE);
  let end = 0;
  for (const block of laid.blocks) {
    assert.equal(block.y, end);
    end = block.y + block.height + (isRow(block) ? SIZE.gap : 0);
  }
  assert.equal(laid.height, end);
  const headings = laid.blocks.filter((block) => !isRow(block)).map(({ day }) => day);
  assert.deepEqual(headings, [...new Set(headings)].sort().reverse());
});

test("a break keeps the rows behind it", () => {
  const some = album(5, 60).map((one) => ({ ...one, day: "2026-01-01" }));
  const fresh = [0, 1].map((i) => ({ ...some[0], id: 1000 + i }));
  const widths = (pictures, breaks) =>
    rows(pictures, 1000, SIZE, new Set(breaks))
      .blocks.filter(isRow)
      .map((row) => row.widths);
  const before = widths(some, []);
  assert.deepEqual(widths([...fresh, ...some], [some[0].id]).slice(-before.length), before);
});

test("no pictures take no room", () => {
  assert.deepEqual(rows([], 1000, SIZE), { blocks: [], height: 0 });
});

test("the block at a height is the first that reaches below it", () => {
  const { blocks, height } = rows(album(7, 90), 1000, SIZE);
  for (let y = -10; y < height + 10; y += 7) {
    const first = blocks.findIndex((block) => block.y + block.height > y);
    assert.equal(blockAt(blocks, y), first < 0 ? blocks.length : first);
  }
});
