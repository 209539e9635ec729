import assert from "node:assert/strict";
import test from "node:test";
import { maySettings } from "../../../webui/ui/assets/settings-like.js";

test("texts that A1111, Fooocus and their like write are asked about", () => {
  for (const text of [
    "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512",
    "Steps: 20, Sampler: Euler",
    "a cat steps:30 | seed:5",
    "a cat\nSeed: 5, CFG scale: 7.5, Model: x",
    '{"prompt": "a cat", "negative_prompt": "", "steps": 30, "seed": "5"}',
    '{"cfg_scale": 7, "sampler_name": "euler"}',
    "a cat\nNegative prompt: dog",
  ])
    assert.ok(maySettings(text), text);
});

test("words, weights and tags are pasted as they are", () => {
  for (const text of [
    "a cat, (red hat:1.2), [day:night:0.5]",
    "<lora:detail:0.8> a house with three steps, seeds on the floor",
    "https://example.org/a?seed=5",
    "a hall at 16:9, oversize: no",
    "",
  ])
    assert.ok(!maySettings(text), text);
});
