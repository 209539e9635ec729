// Small windows under buttons.

import { node } from "./dom.js";
import { backCloses } from "./overlays.js";

/**
 * Opens a small window at a button, or closes it. `fill(panel)` puts its content into it.
 * @param {any} button
 * @param {string} title
 * @param {(panel: HTMLElement) => void} fill
 */
export function openPanel(button, title, fill) {
  let panel = button.easelPanel;
  if (!panel) {
    panel = node("div", { class: "easel-panel", popover: "auto", role: "dialog", "aria-label": title });
    backCloses(panel);
    panel.addEventListener("toggle", (/** @type {ToggleEvent} */ event) => {
      button.setAttribute("aria-expanded", event.newState === "open");
      if (event.newState === "closed") panel.replaceChildren();
    });
    panel.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      // arrows go through what can be chosen
      if (event.key === "Escape") panel.hidePopover(); // a search field would only empty itself
      const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
      if (!by || event.target.matches?.("textarea")) return;
      const picks = [...panel.querySelectorAll(".panel-pick")];
      const next = picks.indexOf(event.target.closest(".panel-row")?.querySelector(".panel-pick")) + by;
      const to = next < 0 ? panel.querySelector("input[type=search]") : picks[next];
      if (to) {
        event.preventDefault();
        to.focus();
      }
    });
    // Light-dismiss comes with the press, the click after it would open it anew.
    button.addEventListener("pointerdown", () => {
      button.easelOpen = panel.matches(":popover-open");
    });
    button.after(panel);
    button.easelPanel = panel;
  }
  const wasOpen = button.easelOpen;
  button.easelOpen = false;
  if (wasOpen) {
    panel.hidePopover();
    return;
  }
  panel.replaceChildren();
  fill(panel);
  panel.showPopover();
  const at = button.getBoundingClientRect(),
    wide = panel.offsetWidth;
  panel.style.setProperty("--left", Math.max(8, Math.min(at.right - wide, innerWidth - wide - 8)) + "px");
  panel.style.setProperty("--top", at.bottom + 8 + "px");
  panel.querySelector("input[type=search]")?.focus();
}

/**
 * @param {string} label
 * @param {(words: string) => void} changed
 */
export function searchField(label, changed) {
  const field = node("input", { type: "search", placeholder: label, "aria-label": label, autocomplete: "off" });
  field.addEventListener("input", () => changed(field.value.trim().toLowerCase()));
  return field;
}
