// What the Models tab asks of the server (webui/http/models.py, downloads.py), in words.

import { model } from "./forms.js";
import { sentence, t } from "./i18n.js";
import { icons } from "./icons.js";

Object.assign(icons, {
  pause: "M6.5 4v12M13.5 4v12",
  play: "M6 4l10 6-10 6z",
  cube: "m10 2.5 6.5 3.7v7.6L10 17.5l-6.5-3.7V6.2zM3.5 6.2 10 10l6.5-3.8M10 10v7.5",
  layers: "m10 3 7 3.7-7 3.7-7-3.7zM3 10l7 3.7 7-3.7M3 13.3 10 17l7-3.7",
  word: "M4 5h12M10 5v11M7.5 16h5",
  lens: "M10 16a6 6 0 1 0 0-12 6 6 0 0 0 0 12M10 12.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5",
  bones: "M4 16 10 4l6 12M6.5 11h7",
});

// What was written about files: their ids (a card may show what was before), and when all of it has arrived.
export const edits = { ids: new Set(), written: Promise.resolve() };

export const ICONS = {
  checkpoint: "cube",
  lora: "layers",
  embedding: "word",
  hypernetwork: "layers",
  vae: "lens",
  controlnet: "bones",
  upscaler: "upscale",
};

export const kindNames = () => ({
  checkpoint: t("Checkpoints"),
  lora: t("LoRA"),
  embedding: t("Embeddings"),
  hypernetwork: t("Hypernetworks"),
  vae: t("VAE"),
  controlnet: t("ControlNet"),
  upscaler: t("Upscalers"),
});

/** @type {(kind: string) => string} */
export const kindName = (kind) =>
  ({
    checkpoint: t("Checkpoint"),
    lora: t("LoRA"),
    embedding: t("Embedding"),
    hypernetwork: t("Hypernetwork"),
    vae: t("VAE"),
    controlnet: t("ControlNet"),
    upscaler: t("Upscaler"),
  })[kind] || kind;

/** @param {number} size */
export function bytes(size) {
  if (!size) return "";
  const [number, unit] = size >= 1e9 ? [size / 1e9, "GB"] : size >= 1e6 ? [size / 1e6, "MB"] : [size / 1e3, "kB"];
  return `${number >= 10 || unit === "kB" ? Math.max(1, Math.round(number)) : number.toFixed(1)} ${unit}`;
}

/** @type {(family: string) => string} */
export const shortFamily = (family) => family.replace("Stable Diffusion XL", "SDXL").replace("Stable Diffusion", "SD");

/**
 * A problem without the file's name, which stands above it.
 * @param {{ file: string, name: string, problem: string, problem_said?: unknown }} file
 */
export function problemOf(file) {
  const why = String(sentence(file.problem_said ?? file.problem));
  const own = [": ", "："].flatMap((end) => [file.file + end, file.name + end]).find((one) => why.startsWith(one));
  const said = why.slice(own?.length ?? 0);
  return said.charAt(0).toUpperCase() + said.slice(1);
}

export const chosenModel = () => model.value ?? "";
