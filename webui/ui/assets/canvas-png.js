// Masks as files: a grey PNG of our own making (a canvas would take four bytes a pixel and a colour conversion), and a file
// as a mask.
"use strict";
window.Easel = window.Easel || {};
Easel.painting = Easel.painting || {};

// A grey 8-bit PNG (PNG specification, third edition: IHDR, IDAT, IEND) of `width` * `height` bytes.
Easel.painting.greyPng = async function (grey, width, height) {
  const table = Easel.painting.greyPng.table ||= Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n >>> 0;
  });
  function chunk(name, body) {
    const made = new Uint8Array(12 + body.length), view = new DataView(made.buffer);
    view.setUint32(0, body.length);
    made.set(new TextEncoder().encode(name), 4);
    made.set(body, 8);
    let crc = 0xffffffff;
    for (let at = 4; at < 8 + body.length; at++) crc = table[(crc ^ made[at]) & 255] ^ (crc >>> 8);
    view.setUint32(8 + body.length, ~crc >>> 0);
    return made;
  }
  const lines = new Uint8Array((width + 1) * height);  // a filter byte (0: none) before each row
  for (let y = 0; y < height; y++) lines.set(grey.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const deflated = new Response(new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate")));
  const head = new Uint8Array(13), view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head[8] = 8;  // bits; colour type, compression, filter and interlace are 0
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const body = new Uint8Array(await deflated.arrayBuffer());
  return new Blob([signature, chunk("IHDR", head), chunk("IDAT", body), chunk("IEND", new Uint8Array(0))], { type: "image/png" });
};

// A picture as a mask of that size: its transparency where it says anything, else its brightness; as the server reads one.
Easel.painting.asMask = function (picture, width, height) {
  const mask = new Uint8Array(width * height), alphas = new Uint8Array(width * height);
  const canvas = new OffscreenCanvas(width, Math.min(height, 256));
  const ink = canvas.getContext("2d", { willReadFrequently: true });
  let opaque = true;
  for (let top = 0; top < height; top += canvas.height) {  // in stripes, for the memory
    ink.clearRect(0, 0, width, canvas.height);
    ink.drawImage(picture, 0, -top, width, height);
    const rows = Math.min(canvas.height, height - top), { data } = ink.getImageData(0, 0, width, rows);
    for (let at = 0, to = top * width; at < data.length; at += 4, to++) {
      mask[to] = Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]);
      alphas[to] = data[at + 3];
      if (data[at + 3] !== 255) opaque = false;
    }
  }
  return opaque ? mask : alphas;
};
