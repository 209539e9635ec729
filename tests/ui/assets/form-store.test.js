import assert from "node:assert/strict";
import test from "node:test";
import { FormStore, takes } from "../../../webui/ui/assets/form-store.js";
import { effect } from "../../../webui/ui/assets/signals.js";

const fields = () => ({
  prompt: ["text", "Prompt", ""],
  steps: ["number", "Steps", 20],
  tilt: ["optional", "Tilt", ""],
  sampler: ["choice", "Sampler", "euler"],
  size: ["choice", "Size", [512, 512]],
  hires: ["switch", "Hires", false],
});

test("it holds the usual values at first, and tells which are others", () => {
  const store = new FormStore(fields());
  assert.deepEqual(store.changed(), {});
  store.told("steps", 30, true);
  store.told("size", [512, 512], true);
  store.told("gone", 1, true);
  store.fill({ hires: true, gone: 1 });
  assert.deepEqual(store.changed(), { steps: 30, hires: true });
  assert.deepEqual(store.values(), {
    prompt: "",
    steps: 30,
    tilt: "",
    sampler: "euler",
    size: [512, 512],
    hires: true,
  });
  assert.equal(store.value("gone"), undefined);
});

test("only what does not come from a widget is sent to the widgets, once", () => {
  const store = new FormStore(fields());
  store.told("steps", 30, true);
  store.fill({ steps: 30, prompt: "a cat" });
  assert.deepEqual(store.take(), { prompt: "a cat" });
  assert.deepEqual(store.take(), {});
  store.told("prompt", "a cat", false); // the widget says that it shows it
  assert.deepEqual(store.take(), {});
});

test("what a widget shows of its own accord is put right once, what it insists on is taken", () => {
  const store = new FormStore(fields());
  store.told("steps", 30, true);
  store.told("steps", 20, false); // drawn anew with its first value
  assert.equal(store.value("steps"), 30);
  assert.deepEqual(store.take(), { steps: 30 });
  store.told("steps", 30, false);
  store.fill({ steps: 1000 });
  store.take();
  store.told("steps", 150, false); // it takes no more than that
  assert.deepEqual(store.take(), { steps: 1000 });
  store.told("steps", 150, false);
  assert.equal(store.value("steps"), 150);
  assert.deepEqual(store.take(), {});
});

test("what somebody types while it is put right wins", () => {
  const store = new FormStore(fields());
  store.fill({ prompt: "a cat" });
  store.told("prompt", "", false);
  store.told("prompt", "a dog", true);
  assert.deepEqual(store.take(), {});
  assert.equal(store.value("prompt"), "a dog");
});

test("what is as usual follows another model, what was changed stays", () => {
  const store = new FormStore(fields());
  store.told("steps", 30, true);
  const of = (changes) => ({ ...fields(), ...changes });
  store.rebase(
    of({ steps: ["number", "Steps", 4], sampler: ["choice", "Sampler", "lcm"], more: ["text", "More", "x"] }),
  );
  assert.deepEqual(store.take(), { sampler: "lcm" });
  assert.deepEqual(store.changed(), { steps: 30 });
  store.told("steps", 4, true); // as usual again
  store.rebase(of({ prompt: ["text", "Prompt", "a face"] }), (name) => name !== "prompt");
  assert.deepEqual(store.take(), { steps: 20, sampler: "euler" });
  assert.deepEqual(store.changed(), { prompt: "" });
});

test("a step is what was typed into one field, or filled at once", () => {
  const store = new FormStore(fields());
  for (const text of ["a", "a c", "a cat"]) store.told("prompt", text, true);
  store.told("steps", 30, true);
  store.close();
  store.told("steps", 31, true);
  store.fill({ prompt: "a dog", hires: true });
  const shown = () => [store.value("prompt"), store.value("steps"), store.value("hires")];
  const all = [
    ["", 20, false],
    ["a cat", 20, false],
    ["a cat", 30, false],
    ["a cat", 31, false],
    ["a dog", 31, true],
  ];
  for (const values of all.slice(0, -1).reverse()) {
    assert.ok(store.canUndo);
    store.undo();
    assert.deepEqual(shown(), values);
  }
  assert.ok(!store.canUndo);
  store.undo();
  for (const values of all.slice(1)) {
    store.redo();
    assert.deepEqual(shown(), values);
  }
  assert.ok(!store.canRedo);
  assert.deepEqual(store.take(), { prompt: "a dog", steps: 31, hires: true });
});

test("what is done after an undo takes the place of what was undone", () => {
  const store = new FormStore(fields());
  store.told("prompt", "a", true);
  store.undo();
  store.told("prompt", "b", true);
  store.redo();
  assert.equal(store.value("prompt"), "b");
  store.undo();
  assert.equal(store.value("prompt"), "");
});

test("what the browser undoes of what was typed is no step any more", () => {
  const store = new FormStore(fields());
  store.told("prompt", "a fox", true);
  store.close();
  store.fill({ prompt: "a cat", steps: 5 });
  store.told("prompt", "a cat asleep", true);
  assert.ok(!store.fills());
  store.told("prompt", "a cat", true);
  assert.ok(store.fills());
  store.undo();
  assert.deepEqual([store.value("prompt"), store.value("steps")], ["a fox", 20]);
  assert.ok(store.fills(true));
});

test("a fill is undone whole, with what was done since and what it changed beside", () => {
  const store = new FormStore(fields());
  const beside = [];
  store.told("prompt", "a fox", true);
  const both = { undo: () => beside.push("undo"), redo: () => beside.push("redo") };
  const step = store.fill({ prompt: "a cat", steps: 5 }, both);
  store.told("steps", 6, true);
  store.undo(step);
  assert.deepEqual([store.value("prompt"), store.value("steps")], ["a fox", 20]);
  store.undo(step); // it is undone already
  assert.equal(store.value("prompt"), "a fox");
  store.redo();
  assert.deepEqual([store.value("prompt"), store.value("steps")], ["a cat", 5]);
  assert.deepEqual(beside, ["undo", "redo"]);
  assert.equal(store.fill({ prompt: "a cat" }), null); // nothing changes
  assert.notEqual(store.fill({ prompt: "a cat" }, both), null);
});

test("a picture comes back with the fill that took its place, and goes again with what was painted on it", () => {
  const store = new FormStore({ ...fields(), image: ["picture", "Picture", null] });
  store.told("image", { image: { url: "mine" } }, true);
  assert.ok(!store.canUndo); // that is the canvas' own to undo
  store.fill({ image: { image: { url: "theirs" } } });
  store.told("image", { image: { url: "theirs" }, mask: "m" }, true);
  store.undo();
  assert.deepEqual(store.value("image"), { image: { url: "mine" } });
  store.redo();
  assert.deepEqual(store.value("image"), { image: { url: "theirs" }, mask: "m" });
});

test("another model's usual values are no step", () => {
  const store = new FormStore(fields());
  store.told("prompt", "a fox", true);
  store.rebase({ ...fields(), steps: ["number", "Steps", 4] });
  store.undo();
  assert.deepEqual([store.value("prompt"), store.value("steps")], ["", 4]);
});

test("who reads a field is told of that field, and of a whole fill once", () => {
  const store = new FormStore(fields());
  const seen = [];
  effect(() => seen.push([store.value("steps"), store.value("sampler")]));
  store.told("prompt", "a cat", true);
  store.fill({ steps: 5, sampler: "ddim" });
  assert.deepEqual(seen, [
    [20, "euler"],
    [5, "ddim"],
  ]);
});

test("what was kept is put in place, but for what was set since and what does not fit", () => {
  const store = new FormStore(fields());
  store.told("steps", 7, true);
  const usual = { ...fields(), sampler: ["choice", "Sampler", "lcm"], tilt: "broken" };
  const values = { steps: 30, prompt: "a cat", hires: "yes", gone: 1 };
  const fits = (_, value) => value !== "yes";
  store.restore(usual, values, fits, () => true);
  assert.deepEqual(store.changed(), { prompt: "a cat", steps: 7 });
  assert.equal(store.value("sampler"), "lcm");
  assert.ok(!store.canUndo);
});

test("the first that is to be sent is told of, and the first after it was taken", () => {
  let times = 0;
  const store = new FormStore(fields(), () => times++);
  store.told("steps", 30, true);
  assert.equal(times, 0);
  store.fill({ steps: 5, prompt: "a cat" });
  assert.equal(times, 1);
  store.take();
  store.told("steps", 20, false);
  assert.equal(times, 2);
});

test("a control takes its choices, numbers in its range, and values of its kind", () => {
  const menu = {
    choices: [
      ["A", "a"],
      ["Both", '["a", "b"]'],
      ["None", 0],
    ],
    value: "a",
  };
  assert.deepEqual(
    ["a", '["a", "b"]', 0, "0", "A", null].map((one) => takes(menu, one)),
    [true, true, true, false, false, false],
  );
  const number = { minimum: 1, maximum: 150, value: 20 };
  assert.deepEqual(
    [1, 150, 0, 151, "20", null].map((one) => takes(number, one)),
    [true, true, false, false, false, false],
  );
  assert.ok(takes({ value: "" }, "words") && takes({ value: false }, true) && takes({ value: -1 }, 2 ** 31));
  assert.ok(!takes({ value: "" }, 1));
});
