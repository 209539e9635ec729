import assert from "node:assert/strict";
import test from "node:test";
import { weighed } from "../../../webui/ui/assets/weights.js";

// One step up or down. `text` has `|` where the caret stands, or two around the selection; so has the answer.
function step(text, by) {
  const parts = text.split("|");
  const start = parts[0].length;
  const plain = parts.join("");
  const edit = weighed(plain, start, parts.length === 3 ? start + parts[1].length : start, by);
  if (edit === null) return null;
  const after = plain.slice(0, edit.from) + edit.text + plain.slice(edit.to);
  const [first, last] = [edit.start, edit.end];
  if (first === last) return `${after.slice(0, first)}|${after.slice(first)}`;
  return `${after.slice(0, first)}|${after.slice(first, last)}|${after.slice(last)}`;
}

const STEPS = [
  ["a c|at", 1, "a (c|at:1.1)"],
  ["a (c|at:1.1)", 1, "a (c|at:1.2)"],
  ["a (c|at:1.1)", -1, "a c|at"],
  ["a (c|at:1.2)", -1, "a (c|at:1.1)"], // not 1.0999999
  ["a |red cat| here", 1, "a (|red cat|:1.1) here"],
  ["a (|red cat|:1.1) here", 1, "a (|red cat|:1.2) here"],
  ["a (|red cat|:0.9) here", 1, "a |red cat| here"],
  ["a| (red cat:1.1) |here", 1, "a (|red cat|:1.2) here"], // spaces are not weighed
  ["(c|at)", 1, "(c|at:1.2)"], // brackets alone are 1.1
  ["(c|at)", -1, "c|at"],
  ["((c|at:1.3), dog:0.8)", -1, "((c|at:1.2), dog:0.8)"], // the innermost
  ["((cat:1.3), d|og:0.8)", 1, "((cat:1.3), d|og:0.9)"],
  ["smile \\(fa|ce\\)", 1, "smile (\\(fa|ce\\):1.1)"], // escaped brackets are letters
  ["<lora:ink:0.8|>", 1, "<lora:ink:0.9|>"],
  ["<lora:ink:0.5:0.8|>", 1, "<lora:ink:0.5:0.9|>"],
  ["<lora:a (b):te=.5:0.8|>", -1, "<lora:a (b):te=.5:0.7|>"],
  ["<lora:in|k>", 1, null], // a name is no word
  ["<lora:ink:0.5:0.8:3|>", 1, null], // that number does nothing
  ["(cat:1.2 <lora:ink>|)", 1, "(cat<lora:ink>|:1.3)"],
  ["(a [b) c|at:1.2)", 1, "(a [b) (c|at:1.1):1.2)"], // closed by nothing
  ["(cat|:1.)", 1, "(cat|:1.1)"],
  ["cat|, dog", -1, "(cat|:0.9), dog"],
  ["(cat:0.05|)", -1, "(cat|:0)"],
  ["a ,|, b", 1, null],
  ["|(half| of it)", 1, null],
  ["", 1, null],
];

for (const [before, by, after] of STEPS) {
  test(`a step of ${by} at ${before}`, () => assert.equal(step(before, by), after));
}

test("a text as long as may be is weighed in no time that grows with its square", () => {
  for (const sign of ["(", "(a:1.1", "<lora:", ":1", "\\", "[(", "<lora:a:1>", "(<lora:a:1>"]) {
    weighed(`${sign.repeat(20_000 / sign.length)}a`, 20_000, 20_000, 1);
  }
});

test("a step back undoes a step", () => {
  for (const text of ["a c|at", "a |red cat| here", "(c|at:1.3)", "<lora:ink:0.8|>"])
    assert.equal(step(step(text, 1), -1), text);
});

test("a key held for long stays within what the engine reads", () => {
  let text = "a c|at";
  for (let i = 0; i < 120; i++) text = step(text, 1);
  assert.equal(text, "a (c|at:10)");
  for (let i = 0; i < 130; i++) text = step(text, -1) ?? text;
  assert.equal(text, "a (c|at:0)");
});
