// Masks as files: a grey PNG of our own making (a canvas would take four bytes a pixel and a colour conversion), and a file
// as a mask.

/** @type {Uint32Array | null} */
let crcTable = null; // made when the first PNG is

/**
 * A grey 8-bit PNG (PNG specification, third edition: IHDR, IDAT, IEND) of `width` * `height` bytes.
 * @param {Uint8Array} grey
 * @param {number} width
 * @param {number} height
 */
export async function greyPng(grey, width, height) {
  crcTable ??= Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n >>> 0;
  });
  /** @type {(name: string, body: Uint8Array) => Uint8Array<ArrayBuffer>} */
  function chunk(name, body) {
    const made = new Uint8Array(12 + body.length),
      view = new DataView(made.buffer);
    view.setUint32(0, body.length);
    made.set(new TextEncoder().encode(name), 4);
    made.set(body, 8);
    let crc = 0xffffffff;
    for (let at = 4; at < 8 + body.length; at++) crc = crcTable[(crc ^ made[at]) & 255] ^ (crc >>> 8);
    view.setUint32(8 + body.length, ~crc >>> 0);
    return made;
  }
  const lines = new Uint8Array((width + 1) * height); // a filter byte (0: none) before each row
  for (let y = 0; y < height; y++) lines.set(grey.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const deflated = new Response(new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate")));
  const head = new Uint8Array(13),
    view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head[8] = 8; // bits; colour type, compression, filter and interlace are 0
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const body = new Uint8Array(await deflated.arrayBuffer());
  return new Blob([signature, chunk("IHDR", head), chunk("IDAT", body), chunk("IEND", new Uint8Array(0))], {
    type: "image/png",
  });
}

/**
 * A picture as a mask of that size, as the server reads one (webui/images.py): what is painted on an empty canvas by its
 * transparency, else the brightness of what can be seen; nearly all of it painted is no empty canvas.
 * @param {CanvasImageSource} picture
 * @param {number} width
 * @param {number} height
 */
export function asMask(picture, width, height) {
  const light = new Uint8Array(width * height),
    alphas = new Uint8Array(width * height);
  const canvas = new OffscreenCanvas(width, Math.min(height, 256));
  const ink = canvas.getContext("2d", { willReadFrequently: true });
  let least = 255,
    most = 0,
    shown = 0,
    bright = 0,
    coloured = 0;
  for (let top = 0; top < height; top += canvas.height) {
    // in stripes, for the memory
    ink.clearRect(0, 0, width, canvas.height);
    ink.drawImage(picture, 0, -top, width, height);
    const rows = Math.min(canvas.height, height - top),
      { data } = ink.getImageData(0, 0, width, rows);
    for (let at = 0, to = top * width; at < data.length; at += 4, to++) {
      const red = data[at],
        green = data[at + 1],
        blue = data[at + 2],
        alpha = data[at + 3];
      light[to] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
      alphas[to] = alpha;
      if (alpha < least) least = alpha;
      if (alpha > most) most = alpha;
      if (alpha < 128) continue;
      shown++;
      if (light[to] >= 128) bright++;
      if (Math.max(red, green, blue) - Math.min(red, green, blue) >= 32) coloured++;
    }
  }
  if (least === most) return light; // transparency says nothing
  const share = shown / light.length,
    few = share >= 0.5 ? 1 : shown / 200;
  if (share >= 0.9 || (shown && Math.min(bright, shown - bright) >= few && coloured * 200 <= shown)) {
    return light.map((level, at) => Math.round((level * alphas[at]) / 255));
  }
  return alphas;
}
