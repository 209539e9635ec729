import assert from "node:assert/strict";
import test from "node:test";
import { batch, effect, signal } from "../../../webui/ui/assets/signals.js";

test("an effect runs for what it read last, and for nothing else", () => {
  const [which, one, other] = [signal("one"), signal(1), signal(2)];
  const seen = [];
  effect(() => seen.push(which.value === "one" ? one.value : other.value));
  other.value = 3;
  one.value = 10;
  which.value = "other";
  one.value = 11;
  other.value = 4;
  assert.deepEqual(seen, [1, 10, 3, 4]);
});

test("a value that is set to itself tells nobody", () => {
  const held = signal(Number.NaN);
  let runs = 0;
  effect(() => {
    held.value;
    runs++;
  });
  held.value = Number.NaN;
  assert.equal(runs, 1);
});

test("a batch is told once, at its end, also when it fails", () => {
  const [one, other] = [signal(1), signal(2)];
  const seen = [];
  effect(() => seen.push(one.value + other.value));
  const given = batch(() => {
    one.value = 10;
    batch(() => (other.value = 20));
    return one.value;
  });
  assert.equal(given, 10);
  assert.throws(() =>
    batch(() => {
      one.value = 0;
      throw new Error("in between");
    }),
  );
  assert.deepEqual(seen, [3, 30, 20]);
});

test("an effect that was ended is silent, also inside a batch", () => {
  const held = signal(1);
  const seen = [];
  const end = effect(() => seen.push(held.value));
  batch(() => {
    held.value = 2;
    end();
  });
  held.value = 3;
  assert.deepEqual(seen, [1]);
});

test("effects may set what others read, in a chain but not in a circle", () => {
  const [one, twice] = [signal(1), signal(0)];
  const seen = [];
  effect(() => (twice.value = 2 * one.value));
  effect(() => seen.push(twice.value));
  one.value = 4;
  assert.deepEqual(seen, [2, 8]);
  const circle = signal(0);
  assert.throws(() => effect(() => (circle.value += 1)), /read/);
  one.value = 5; // the rest goes on
  assert.equal(seen.at(-1), 10);
});
