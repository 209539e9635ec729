// What is painted, in numbers: shapes, layers, undo.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as frames from "../../../webui/ui/assets/canvas-frame.js";
import { Stroke } from "../../../webui/ui/assets/canvas-gestures.js";
import { History } from "../../../webui/ui/assets/canvas-history.js";
import { Layers } from "../../../webui/ui/assets/canvas-layers.js";
import { capsule, flood } from "../../../webui/ui/assets/canvas-shapes.js";

const SIZE = { width: 200, height: 200 };
const sum = (patch) => patch.data.subarray(0, patch.width * patch.height).reduce((all, one) => all + one, 0) / 255;
const act = (erase = false, colour = null) => ({ kind: "tiles", tiles: new Map(), erase, colour });

function stroke(layers, how, points, diameter = 20, softness = 0) {
  const made = new Stroke(layers, how, diameter, softness);
  made.add(points.map(([x, y]) => ({ x, y, pressure: 1 })));
  return made.flush();
}

test("a dab is a circle of the brush's size", () => {
  const dab = { x: 100.3, y: 99.8, r: 40 };
  const area = sum(capsule(dab, dab, 0, SIZE));
  assert.ok(Math.abs(area / (Math.PI * 40 ** 2) - 1) < 0.01);
  const soft = capsule(dab, dab, 1, SIZE);
  const middle = (soft.height >> 1) * soft.width;
  const reach = soft.data.subarray(middle, middle + soft.width).filter((one) => one > 0).length;
  assert.ok(reach >= 76 && reach <= 82); // across, the whole diameter, fading
});

test("a line is a rectangle between two half circles", () => {
  const area = sum(capsule({ x: 50, y: 80, r: 15 }, { x: 140, y: 110, r: 15 }, 0, SIZE));
  assert.ok(Math.abs(area / (Math.PI * 15 ** 2 + 30 * Math.hypot(90, 30)) - 1) < 0.01);
});

test("a shape outside of the picture is none, one at its edge ends there", () => {
  const dab = (x, y) => capsule({ x, y, r: 10 }, { x, y, r: 10 }, 0, SIZE);
  assert.equal(dab(-20, 50), null);
  assert.ok(Math.abs(sum(dab(0, 100)) / (Math.PI * 50) - 1) < 0.02); // half of it
});

test("a flood fills what is enclosed, and nothing on the mask itself", () => {
  const layers = new Layers(60, 60);
  for (let at = 10; at <= 40; at++)
    for (const [x, y] of [
      [at, 10],
      [at, 40],
      [10, at],
      [40, at],
    ])
      layers.mask[y * 60 + x] = 255;
  assert.equal(sum(flood(layers.mask, layers, 20, 20)), 29 * 29);
  assert.equal(sum(flood(layers.mask, layers, 0, 0)), 60 * 60 - 31 * 31);
  assert.equal(flood(layers.mask, layers, 10, 10), null);
  assert.equal(flood(layers.mask, layers, -1, 10), null);
});

test("undo gives back what was there before, and redo what was painted", () => {
  const sheet = { layers: new Layers(300, 200), frame: null };
  const history = new History(sheet);
  const states = [sheet.layers.mask.slice()];
  for (const [how, points] of [
    [
      act(),
      [
        [20, 20],
        [280, 180],
      ],
    ],
    [
      act(true),
      [
        [150, 0],
        [150, 199],
      ],
    ],
    [
      act(false, [255, 0, 0]),
      [
        [0, 100],
        [299, 100],
      ],
    ],
  ]) {
    assert.ok(stroke(sheet.layers, how, points));
    history.add(how);
    states.push(sheet.layers.mask.slice());
  }
  assert.ok(sheet.layers.sketched);
  for (let at = 2; at >= 0; at--) {
    history.undo();
    assert.deepEqual(sheet.layers.mask, states[at]);
  }
  assert.ok(!sheet.layers.sketched && sheet.layers.blank);
  assert.equal(history.undo(), null);
  for (let at = 1; at <= 3; at++) {
    history.redo();
    assert.deepEqual(sheet.layers.mask, states[at]);
  }
  assert.ok(sheet.layers.sketched);
});

test("a stroke over itself is as strong as one that is not", () => {
  const once = new Layers(100, 100);
  const often = new Layers(100, 100);
  stroke(
    once,
    act(),
    [
      [20, 50],
      [80, 50],
    ],
    30,
    1,
  );
  stroke(
    often,
    act(),
    [
      [20, 50],
      [80, 50],
      [20, 50],
      [80, 50],
    ],
    30,
    1,
  );
  assert.deepEqual(often.mask, once.mask);
});

test("an act that takes much room lets old ones go, but not the last", () => {
  const sheet = { layers: new Layers(64, 64), frame: null };
  const history = new History(sheet);
  const big = () => ({ kind: "sheet", sheet: { layers: { bytes: History.BYTES * 0.6 }, frame: null } });
  history.add(big());
  history.add(big());
  assert.equal(history.past.length, 1);
  history.add({ kind: "invert" });
  assert.equal(history.past.length, 2);
});

test("a sheet that grows keeps what is painted in its place, and masks what is new", () => {
  const layers = new Layers(100, 80);
  stroke(layers, act(), [[50, 40]], 20);
  const made = layers.moved(16, 8, 140, 100);
  for (let y = 0; y < 100; y++) {
    for (let x = 0; x < 140; x++) {
      const [oldX, oldY] = [x - 16, y - 8];
      const inside = oldX >= 0 && oldX < 100 && oldY >= 0 && oldY < 80;
      assert.equal(made.mask[y * 140 + x], inside ? layers.mask[oldY * 100 + oldX] : 255);
    }
  }
});

// --- The frame beyond the picture ---

const PICTURE = { width: 500, height: 300 };

test("a frame is allowed in steps of eight, from 64 to 4096 pixels a side", () => {
  for (const side of frames.SIDES) {
    const length = side === "left" || side === "right" ? PICTURE.width : PICTURE.height;
    for (let wanted = -800; wanted < 5000; wanted += 13) {
      const { frame, limited } = frames.allowed({ [side]: wanted }, frames.NONE, PICTURE);
      const { width, height } = frames.sizeOf(PICTURE, frame);
      const now = side === "left" || side === "right" ? width : height;
      assert.equal(Math.abs(frame[side] % 8), 0);
      assert.ok(now >= 64 && now <= frames.LONGEST);
      assert.equal(limited, Math.abs(frame[side] - wanted) > 4);
      if (!limited) assert.ok(Math.abs(now - length - wanted) <= 4);
      assert.deepEqual(frames.allowed(frame, frames.NONE, PICTURE), { frame, limited: false });
    }
  }
});

test("what is typed into a side and is no number leaves that side where it was drawn", () => {
  assert.deepEqual(frames.allowed({ left: "" }, frames.NONE, PICTURE).frame, frames.NONE);
});

test("a grown frame masks what is new and a seam of the old", () => {
  const layers = new Layers(PICTURE.width, PICTURE.height);
  const frame = { left: 0, top: 0, right: 16, bottom: 0 };
  const made = frames.reframed(layers, frames.NONE, frame);
  assert.deepEqual([made.width, made.height], [516, 300]);
  for (let x = 0; x < 516; x++) assert.equal(made.mask[150 * 516 + x], x < 500 - 8 ? 0 : 255);
});
