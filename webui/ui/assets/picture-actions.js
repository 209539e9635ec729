// What can be done with pictures that the gallery knows (webui/http/pictures.py), for stage and viewer. Each change is
// told to the whole page: an event "easel-pictures" of the document, `{kind: "trashed"|"restored"|"favourite", ids, on}`.

import { ask } from "./api.js";
import { node } from "./dom.js";
import { t } from "./i18n.js";
import { toast } from "./overlays.js";

/**
 * @typedef {{ id: number | null, url: string, thumbnail: string, width: number, height: number, name: string,
 *   prompt?: string, parameters?: string, favourite?: boolean, source?: boolean, look?: string, trashed?: boolean }} Picture
 */

const BRIEF = 120; // characters

/**
 * A prompt as a name: how it begins.
 * @param {string} [text]
 * @param {number} [most] characters
 */
export function briefly(text = "", most = BRIEF) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > most ? line.slice(0, most - 1) + "…" : line;
}

/**
 * What a picture is called: how its prompt begins, else its file's name.
 * @param {Partial<Picture>} one
 */
export const titleOf = (one) => briefly(one.prompt) || briefly((one.name || "").split("/").pop());

/**
 * @param {"trashed" | "restored" | "favourite"} kind
 * @param {number[]} ids
 * @param {boolean} [on]
 */
export function tell(kind, ids, on) {
  document.dispatchEvent(new CustomEvent("easel-pictures", { detail: { kind, ids, on } }));
}

/** @param {{ message: string }} error */
export function failed(error) {
  toast(error.message, null, 8);
}

/**
 * A picture of the gallery by its number; null where there is none, which is told.
 * @param {number} id
 * @returns {Promise<Picture | null>}
 */
export async function pictureAt(id) {
  try {
    return await ask(`api/pictures/${id}`);
  } catch {
    toast(t("This picture is no longer there."), null, 8);
    return null;
  }
}

/** @param {Picture} item */
export async function favour(item) {
  const on = !item.favourite;
  try {
    await ask("api/pictures", "PATCH", { ids: [item.id], favourite: on });
    item.favourite = on;
    tell("favourite", [item.id], on);
  } catch (error) {
    failed(error);
  }
}

/**
 * Moves a picture to the trash, with a way back; "gone" when it is there.
 * @param {Picture} item
 */
export async function trash(item) {
  try {
    await ask("api/pictures/trash", "POST", { ids: [item.id] });
  } catch (error) {
    failed(error);
    return "";
  }
  tell("trashed", [item.id]);
  toast(t("Moved to the trash."), { label: t("Undo"), act: () => restore([item.id]) });
  return "gone";
}

/** @param {number[]} ids */
export async function restore(ids) {
  try {
    await ask("api/pictures/restore", "POST", { ids });
    tell("restored", ids);
  } catch (error) {
    failed(error);
  }
}

/**
 * [label, address] of the ways to have a picture as a file: as it is, or another format with its settings kept.
 * @param {Partial<Picture>} item
 */
export function downloads(item) {
  const own = (item.name || "").split(".").pop().toUpperCase() || "PNG";
  if (!item.id) return [[t("Original ({format})", { format: own }), item.url]];
  const as = (/** @type {string} */ format, quality = "") => `${item.url}&format=${format}${quality}&download=1`;
  const all = [
    [t("Original ({format})", { format: own }), item.url + "&download=1"],
    ["PNG", as("png")],
    ["JPEG", as("jpeg", "&quality=92")],
    ["WebP", as("webp", "&quality=90")],
  ];
  return all.filter(([label]) => label !== own);
}

/**
 * @param {Partial<Picture>} item
 * @param {string} [address]
 */
export function download(item, address) {
  const link = node("a", { href: address || downloads(item)[0][1], download: item.name || "" });
  document.body.append(link);
  link.click();
  link.remove();
}
