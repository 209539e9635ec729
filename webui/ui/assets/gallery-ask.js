// What the Gallery asks of the server (webui/http/pictures.py), and the bits that its other files share.
"use strict";
window.Easel = window.Easel || {};
Easel.pictures = Easel.pictures || {};

// JSON from a route of ours. Throws an Error whose message is a sentence for people.
Easel.pictures.ask = async function (path, method = "GET", body = undefined) {
  try {
    return await Easel.kept.ask(method, path, body);
  } catch (error) {  // fetch itself throws a TypeError
    throw error instanceof TypeError ? new Error(Easel.t("The server does not answer.")) : error;
  }
};

// A search as the part of an address behind "?"; what is empty is left out.
Easel.pictures.query = function (search) {
  const asked = Object.entries(search).filter(([, value]) => value !== "" && value !== false && value !== undefined);
  return new URLSearchParams(asked).toString();
};

// An ISO day, in the visitor's own time zone.
Easel.pictures.day = function (date) {
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
};

// The day so many days after (or before) an ISO day.
Easel.pictures.later = function (day, days) {
  const date = new Date(day + "T12:00:00Z");
  date.setUTCDate(date.getUTCDate() + days);
  return date.toISOString().slice(0, 10);
};

// A day's heading.
Easel.pictures.dayWords = function (day) {
  const { day: iso, later } = Easel.pictures, today = iso(new Date());
  if (day === today) return Easel.t("Today");
  if (day === later(today, -1)) return Easel.t("Yesterday");
  const date = new Date(day + "T12:00:00");
  const how = { weekday: "long", day: "numeric", month: "long" };
  if (day.slice(0, 4) !== today.slice(0, 4)) how.year = "numeric";
  return date.toLocaleDateString(document.documentElement.lang || undefined, how);
};

Easel.pictures.count = function (number) {
  return number === 1 ? Easel.t("1 picture") : Easel.t("{number} pictures", { number: number.toLocaleString() });
};

Object.assign(Easel.icons, {
  search: "M9 15A6 6 0 1 0 9 3a6 6 0 0 0 0 12M13.3 13.3 17 17",
  check: "m5 10.5 3.5 3.5L15.5 6.5",
  up: "M10 16V5M5.5 9.5 10 5l4.5 4.5",
});
