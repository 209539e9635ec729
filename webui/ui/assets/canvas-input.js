// Pictures that people give: chosen, dropped, pasted, or dragged from the page's own pictures. What the browser can read is
// what the server can read; a large one is made smaller here, before it travels.

import { LONGEST } from "./canvas-frame.js";
import { t } from "./i18n.js";
import { ownPicture } from "./own-pictures.js";

export class Refused extends Error {}

/**
 * @param {Blob} blob
 * @param {string} name
 */
export async function decode(blob, name) {
  const refuse = (/** @type {string} */ sentence) => {
    throw new Refused(sentence);
  };
  if (blob.type && !blob.type.startsWith("image/"))
    refuse(t("{name} is not a picture; use PNG, JPEG or WebP.", { name }));
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" }); // upright, as the server opens it
  } catch {
    if (/heic|heif/i.test(blob.type + name))
      refuse(t("This browser cannot read HEIC pictures; save it as JPEG or PNG."));
    return refuse(t("This file is not a whole picture; use PNG, JPEG or WebP."));
  }
}

export const SERVED = new Set(["png", "jpeg", "webp", "gif", "bmp", "avif"].map((kind) => "image/" + kind)); // that the server reads, too

/**
 * A file as what is uploaded and shown: {file, bitmap, note}. Throws `Refused`.
 * @param {File} file
 */
export async function prepare(file) {
  const bitmap = await decode(file, file.name);
  const { width, height } = bitmap,
    longest = LONGEST,
    scale = Math.min(1, longest / Math.max(width, height));
  if (scale === 1 && (!file.type || SERVED.has(file.type))) return { file, bitmap, note: "" };
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const ink = canvas.getContext("2d");
  ink.imageSmoothingQuality = "high";
  ink.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const kind = /jpeg|hei[cf]/.test(file.type) ? "image/jpeg" : "image/png";
  const blob = await new Promise((done) => canvas.toBlob(done, kind, 0.95));
  const ending = kind === "image/jpeg" ? ".jpg" : ".png";
  return {
    file: new File([blob], file.name.replace(/\.\w+$/, "") + ending, { type: kind }),
    bitmap: canvas,
    note:
      scale === 1
        ? ""
        : t("{width} × {height} is more than {longest}; scaled to {wide} × {high}.", {
            width,
            height,
            longest,
            wide: canvas.width,
            high: canvas.height,
          }),
  };
}

/** @param {CanvasImageSource} bitmap */
export function transparent(bitmap) {
  const side = 256,
    canvas = new OffscreenCanvas(side, side),
    ink = canvas.getContext("2d", { willReadFrequently: true });
  ink.drawImage(bitmap, 0, 0, side, side);
  const { data } = ink.getImageData(0, 0, side, side);
  for (let at = 3; at < data.length; at += 4) if (data[at] < 250) return true;
  return false;
}

/**
 * Listens for pictures over an element; `take(file)` and `adopt({path, url})` receive them, `say(sentence)` what is wrong.
 * @param {HTMLElement} element
 * @param {HTMLInputElement} input
 * @param {{ take(file: File): void, adopt(own: { path: string, url: string }): void, say(sentence: string): void }} hand
 */
export function listen(element, input, { take, adopt, say }) {
  input.addEventListener("change", () => {
    if (input.files[0]) take(input.files[0]);
  });
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.dataset.over = "yes";
  });
  element.addEventListener("dragleave", (event) => {
    if (!element.contains(/** @type {Node | null} */ (event.relatedTarget))) delete element.dataset.over;
  });
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    delete element.dataset.over;
    const { files } = event.dataTransfer,
      address = event.dataTransfer.getData("text/uri-list").split("\n")[0].trim();
    const own = address && ownPicture(address);
    if (own) adopt(own);
    else if (files[0]) take(files[0]);
    else say(t("Addresses are not fetched; save the picture and drop the file."));
  });
  places.add({ element, take });
}

// A pasted picture goes to one place: the one in use, else the first that is empty, else the first.
export const places = new Set();
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
  const words = event.clipboardData?.types.includes("text/plain") && event.target.closest?.("input, textarea");
  if (!file || words) return;
  const seen = [...places].filter(({ element }) => element.isConnected && element.offsetParent !== null);
  const used = seen.find(({ element }) => element.contains(document.activeElement) || element.matches(":hover"));
  const place = used || seen.find(({ element }) => !element.querySelector(".canvas-drop").hidden) || seen[0];
  if (!place) return;
  event.preventDefault();
  place.take(file);
});
