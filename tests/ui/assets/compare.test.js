// How a picture lies under what was made of it.

import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.document ??= /** @type {any} */ ({ addEventListener() {} });
globalThis.addEventListener ??= () => {};
const { fitOf } = await import("../../../webui/ui/assets/compare.js");

test("a source lies as it was brought to the size; what the prompt says of it does not count", () => {
  const text = (said) => `a sign, Resize mode: Just resize\nSteps: 4, Size: 64x64${said}, Version: Easel 0.1.0`;
  assert.equal(fitOf(text(", Resize mode: Crop and resize")), "cover");
  assert.equal(fitOf(text(", Resize mode: Just resize")), "fill");
  assert.equal(fitOf(text(", Resize mode: Resize and fill")), "contain");
  assert.equal(fitOf("a sign\nSteps: 4, Size: 64x64"), "");
});
