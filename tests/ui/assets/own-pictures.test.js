// Which addresses are pictures of the page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ownPicture } from "../../../webui/ui/assets/own-pictures.js";

const PAGE = "https://studio.example/easel/"; // behind a proxy that serves it under a path

for (const [address, own] of [
  ["api/pictures/7/thumbnail?v=3", { path: "", url: "api/pictures/7/file?v=3" }],
  ["https://studio.example/easel/api/pictures/7/file", { path: "", url: "api/pictures/7/file" }],
  ["api/jobs/ab/images/0", { path: "", url: "api/jobs/ab/images/0" }],
  ["gradio_api/file=/a/b%20c.png", { path: "/a/b c.png", url: "gradio_api/file=/a/b%20c.png" }],
  ["api/queue", null],
  ["/api/pictures/7/file", null], // of another page of that host
  ["https://example.org/api/pictures/7/file", null],
  ["data:image/png;base64,AAAA", null],
  ["http://", null],
  ["gradio_api/file=/a/100%.png", null],
]) {
  test(`${address} is ${own ? "ours" : "not ours"}`, () => {
    assert.deepEqual(ownPicture(address, PAGE), own);
  });
}
