// What lies over the page for a while: menus beside buttons, sentences with an "Undo".

import { address } from "./address.js";
import { node } from "./dom.js";
import { rootOfStyles } from "./gradio.js";
import { t } from "./i18n.js";
import { placeToasts } from "./toast-place.js";

/**
 * Something that opens over the page beside a button; a click elsewhere or Escape closes it. `fill(close)` gives what
 * is in it, anew each time.
 * @param {HTMLElement} button
 * @param {string} label
 * @param {(close: () => void) => Element[]} fill
 * @returns {HTMLElement}
 */
export function withMenu(button, label, fill) {
  const menu = node("div", { popover: "auto", class: "easel-menu", role: "dialog", "aria-label": label });
  let closed = 0;
  backCloses(menu);
  menu.addEventListener("toggle", (event) => {
    const open = event.newState === "open";
    button.setAttribute("aria-expanded", open);
    if (!open) {
      closed = Date.now();
      menu.remove();
    }
  });
  button.setAttribute("aria-haspopup", "dialog");
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => {
    if (Date.now() - closed < 200) return; // this very click has closed it
    menu.replaceChildren(...fill(() => menu.hidePopover()));
    button.after(menu);
    menu.showPopover();
    const at = button.getBoundingClientRect();
    const left = Math.min(at.left, innerWidth - menu.offsetWidth - 8);
    const above = at.top - menu.offsetHeight - 8;
    menu.style.left = Math.max(8, left) + "px";
    menu.style.top = (above >= 8 ? above : Math.min(at.bottom + 8, innerHeight - menu.offsetHeight - 8)) + "px";
    menu.querySelector("button, a")?.focus();
  });
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const all = [...menu.querySelectorAll("button, a")];
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length]?.focus();
  });
  return button;
}

// Where something that lies over the page belongs.
export const overlayRoot = () => document.querySelector("dialog[open]") || rootOfStyles();

/**
 * The browser's Back closes a menu or a panel, each time that it is open.
 * @param {HTMLElement} menu
 */
export function backCloses(menu) {
  let way = { gone: () => {} };
  const gone = () => {
    sized.disconnect();
    way.gone();
  };
  const sized = new ResizeObserver(() => menu.isConnected || gone()); // one that is taken away tells nothing of it
  menu.addEventListener("beforetoggle", (/** @type {ToggleEvent} */ event) => {
    if (event.newState !== "open") return gone();
    way = address.cover(() => menu.matches(":popover-open") && menu.hidePopover());
    sized.observe(menu);
  });
}

/**
 * A dialog over everything; when it is closed, by the browser's Back too, it goes, and what is still said stays.
 * @param {HTMLDialogElement} dialog
 * @param {() => void} [closed]
 * @returns {{ picture: (id: string | number | null | undefined) => void }} `picture` tells which one the dialog shows
 */
export function openDialog(dialog, closed = () => {}) {
  const way = address.cover(() => dialog.close());
  dialog.addEventListener("close", () => {
    way.gone();
    closed();
    const said = dialog.querySelector(":scope > .easel-toasts");
    dialog.remove();
    // what had the focus may be gone, and what lies below still hears keys
    if (document.activeElement === document.body) document.querySelector("dialog[open]")?.focus();
    if (!said) return;
    overlayRoot().append(said);
    placeToasts(said);
  });
  overlayRoot().append(dialog);
  dialog.showModal();
  return way;
}

/**
 * Asks before something that cannot be undone, and says whether it is to be done. What is safe has the focus.
 * @param {string} question
 * @param {string} act what the button says that does it
 * @returns {Promise<boolean>}
 */
export function confirmed(question, act) {
  const dialog = node("dialog", { class: "easel-ask", role: "alertdialog", "aria-label": question });
  const yes = node("button", { type: "button", class: "easel-ask-yes" }, act);
  const no = node("button", { type: "button" }, t("Cancel"));
  const buttons = node("div");
  buttons.append(no, yes);
  dialog.append(node("p", {}, question), buttons);
  return new Promise((answer) => {
    yes.addEventListener("click", () => dialog.close("yes"));
    no.addEventListener("click", () => dialog.close());
    openDialog(dialog, () => answer(dialog.returnValue === "yes"));
    no.focus();
  });
}

/**
 * A sentence over the page for some seconds, where it covers nothing (toast-place.js), with something to do about it: `{label, act}`.
 * @param {string} text
 * @param {{ label: string, act: () => void } | null} [action]
 * @param {number} [seconds]
 */
export function toast(text, action, seconds = 10) {
  const place = overlayRoot();
  let stack = place.querySelector(":scope > .easel-toasts");
  if (!stack) {
    stack = node("div", { class: "easel-toasts", role: "status", "aria-live": "polite" });
    place.append(stack);
  }
  const toast = node("div", { class: "easel-toast" });
  toast.append(node("span", {}, text));
  const gone = () => {
    clearTimeout(timer);
    toast.remove();
    if (stack.isConnected) placeToasts(stack);
  };
  if (action) {
    const button = node("button", { type: "button" }, action.label);
    button.addEventListener("click", () => {
      gone();
      action.act();
    });
    toast.append(button);
  }
  stack.append(toast);
  placeToasts(stack);
  let timer = setTimeout(gone, seconds * 1000);
  for (const kind of ["pointerenter", "focusin"]) toast.addEventListener(kind, () => clearTimeout(timer));
  for (const kind of ["pointerleave", "focusout"]) {
    toast.addEventListener(kind, () => {
      clearTimeout(timer);
      timer = setTimeout(gone, seconds * 500);
    });
  }
  return gone;
}

/**
 * Text to the clipboard, on plain http from another machine too; says whether it is there.
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // no secure context, or no permission
    const place = overlayRoot();
    const box = node("textarea", { class: "easel-unseen", "aria-hidden": "true" });
    box.value = text;
    place.append(box);
    const before = document.activeElement;
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    before?.focus?.();
    return done;
  }
}
