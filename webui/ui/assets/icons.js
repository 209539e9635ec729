// Small drawings for buttons, and buttons with them. Every one has its words too, for who cannot see it.

import { node, setText } from "./dom.js";

/** @type {Record<string, string>} */
export const icons = {
  // strokes on a grid of 20 x 20
  again: "M16 10a6 6 0 1 1-1.8-4.3M16 3v3.4h-3.4",
  vary: "M3 6h2.5c4.5 0 4.5 8 9 8H17M3 14h2.5c1.4 0 2.4-.8 3.2-1.9M11 7.9c.9-1.1 1.9-1.9 3.5-1.9H17M14.5 3.5 17 6l-2.5 2.5M14.5 11.5 17 14l-2.5 2.5",
  image: "M3.5 4.5h13v11h-13zM3.5 13l3.5-3.5 3 3 2.5-2.5 4 4M12.8 7.6h.01",
  brush: "M16.5 3.5 9 11M8 11.5c-2 0-2.5 1.5-2.7 2.7-.1.9-.8 1.7-1.8 1.9 3 1 6.3.2 6.5-2.6z",
  upscale: "M11.5 3.5h5v5M16.5 3.5 11 9M8.5 16.5h-5v-5M3.5 16.5 9 11",
  arrow: "M3.5 10h12M11 5.5 15.5 10 11 14.5",
  star: "m10 3 2.1 4.5 4.9.6-3.6 3.4.9 4.9L10 14l-4.3 2.4.9-4.9L3 8.1l4.9-.6z",
  download: "M10 3.5v9M6 9l4 4 4-4M3.5 16.5h13",
  compare: "M10 2.5v15M8 5H3.5v10H8M12 5h4.5v10H12",
  full: "M3.5 8V3.5H8M12 3.5h4.5V8M16.5 12v4.5H12M8 16.5H3.5V12",
  copy: "M7 7h9.5v9.5H7zM13 7V3.5H3.5V13H7",
  settings: "M3 6h8M15 6h2M3 14h2M9 14h8M11 4v4M7 12v4",
  trash: "M4 5.5h12M8 5.5V3.5h4v2M5.5 5.5l.7 11h7.6l.7-11M8.5 8.5v5M11.5 8.5v5",
  close: "m5 5 10 10M15 5 5 15",
  previous: "M12.5 4 6.5 10l6 6",
  next: "m7.5 4 6 6-6 6",
  larger: "M10 4v12M4 10h12",
  smaller: "M4 10h12",
  info: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14M10 9v5M10 6.3h.01",
  grid: "M3.5 3.5h5.5V9H3.5zM11 3.5h5.5V9H11zM3.5 11h5.5v5.5H3.5zM11 11h5.5v5.5H11z",
};

/** @param {string} name */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "easel-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", icons[name] || icons.arrow);
  svg.append(path);
  return svg;
}

/**
 * A button with an icon and its words; `plain` leaves the words to the tooltip and to screen readers.
 * @param {string} picture
 * @param {string} label
 * @param {(event: Event) => void} act
 * @param {{ plain?: boolean, title?: string }} [how]
 */
export function iconButton(picture, label, act, { plain = false, title = label } = {}) {
  const button = node("button", { type: "button", class: "easel-act", title });
  button.append(icon(picture));
  if (plain) setText(button, label, "aria-label");
  else button.append(node("span", {}, label));
  button.addEventListener("click", act);
  return button;
}
