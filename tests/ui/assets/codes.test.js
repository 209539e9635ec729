// A language fits whoever speaks and writes like it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fitting } from "../../../webui/ui/assets/codes.js";

const OURS = ["en", "de", "zh-Hans"];

for (const [tags, fit] of [
  [["de-AT"], "de"],
  [["zh-CN"], "zh-Hans"],
  [["zh-TW"], ""],
  [["fr", "de"], "de"],
  [["en-GB", "de"], "en"],
  [["no tag", "de"], "de"],
  [[], ""],
]) {
  test(`who speaks ${tags} is spoken to in ${fit || "none of ours"}`, () => assert.equal(fitting(tags, OURS), fit));
}

test("our Chinese is Gradio's", () => assert.equal(fitting(["zh-Hans"], ["en", "zh-TW", "zh-CN"]), "zh-CN"));
