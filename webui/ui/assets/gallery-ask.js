// What the Gallery asks of the server (webui/http/pictures.py), and the bits that its other files share.

import { dayOf, later } from "./days.js";
import { t } from "./i18n.js";
import { icons } from "./icons.js";

/**
 * A search as the part of an address behind "?"; what is empty is left out.
 * @param {Record<string, any>} search
 */
export function query(search) {
  const asked = Object.entries(search).filter(([, value]) => value !== "" && value !== false && value !== undefined);
  return new URLSearchParams(asked).toString();
}

/**
 * A day's heading.
 * @param {string} day
 */
export function dayWords(day) {
  const today = dayOf(new Date());
  if (day === today) return t("Today");
  if (day === later(today, -1)) return t("Yesterday");
  const date = new Date(day + "T12:00:00");
  /** @type {Intl.DateTimeFormatOptions} */
  const how = { weekday: "long", day: "numeric", month: "long" };
  if (day.slice(0, 4) !== today.slice(0, 4)) how.year = "numeric";
  return date.toLocaleDateString(document.documentElement.lang || undefined, how);
}

/** @param {number} number */
export function count(number) {
  return number === 1 ? t("1 picture") : t("{number} pictures", { number: number.toLocaleString() });
}

Object.assign(icons, {
  search: "M9 15A6 6 0 1 0 9 3a6 6 0 0 0 0 12M13.3 13.3 17 17",
  check: "m5 10.5 3.5 3.5L15.5 6.5",
  up: "M10 16V5M5.5 9.5 10 5l4.5 4.5",
});
