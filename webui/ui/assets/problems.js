// Why a request was refused: once, at the control that it is about, or else beside the button, until that is mended. A press
// that nobody answers is not kept, so that is said here, too, until the server is back.

import { node, setText } from "./dom.js";
import { same } from "./form-store.js";
import { fieldAt, formOf, model } from "./forms.js";
import { openerOf } from "./gradio.js";
import { sentence, t } from "./i18n.js";
import { server, serverOffline } from "./server-status.js";
import { effect } from "./signals.js";

/** @typedef {{ message?: any, control?: string, failed?: boolean }} Told by Python (webui/ui/wiring.py) */

export function problem(element, props, watch) {
  const line = element.querySelector(".easel-problem-line"),
    task = element.closest(".easel-task");
  let lost = false,
    forget = () => {};
  const clear = () => {
    forget();
    forget = () => {};
    line.hidden = true;
  };
  const show = () => {
    clear();
    /** @type {Told} */
    const {
      message = "",
      control = "",
      failed,
    } = lost ? { message: t("The server does not answer: press again when it is back.") } : props.value || {};
    if (!String(message)) return;
    const place = control ? document.getElementById(control) : null;
    const unmark = place ? mark(place, task.contains(place) ? sentence(message) : null) : () => {};
    if (!place || !task.contains(place)) {
      setText(line, sentence(message));
      line.hidden = false;
    }
    const unwatch = failed || lost ? () => {} : whenMended(control, place, taskOf(element), clear);
    forget = () => {
      unwatch();
      unmark();
    };
  };
  const hear = (now) => {
    lost = now;
    show();
  };
  watch("value", () => hear(false));
  task.addEventListener(
    "click",
    async (event) => {
      const button = event.target.closest(".easel-go button, .stage-examples button");
      if (!button) return;
      const known = server.offline; // Gradio would load the page anew, which empties the form
      if (known) event.stopImmediatePropagation();
      if (await serverOffline()) hear(true);
      else if (known) button.click();
    },
    true,
  );
  document.addEventListener("easel-back", () => {
    if (lost) hear(false);
  });
  show();
}

/** @param {Element} element of the component */
const taskOf = (element) => element.closest("[id$=-problem]")?.id.replace(/-problem$/, "") ?? "";

let marks = 0;

/**
 * Marks a control as wrong, with the sentence in it, in sight. Gives what takes it away.
 * @param {HTMLElement} control
 * @param {string | null} why
 */
function mark(control, why) {
  const field = control.querySelector("textarea, input:not([type=range], [type=file])");
  control.classList.add("easel-wrong");
  field?.setAttribute("aria-invalid", "true");
  const unmark = () => {
    control.classList.remove("easel-wrong");
    field?.removeAttribute("aria-invalid");
  };
  if (why === null) return unmark;
  for (let at = control.parentElement; at; at = at.parentElement) {
    if (at.matches(".easel-group[data-fold=shut]")) openerOf(at)?.click();
  }
  const told = node("p", { class: "easel-error", role: "alert", id: `easel-error-${++marks}` }, why);
  const dialog = control.querySelector("dialog[open]");
  (dialog ?? control).append(told);
  dialog?.addEventListener("close", () => told.isConnected && control.append(told), { once: true });
  field?.setAttribute("aria-describedby", told.id);
  const { top, bottom } = told.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) told.scrollIntoView({ block: "center" });
  return () => {
    unmark();
    field?.removeAttribute("aria-describedby");
    told.remove();
  };
}

/**
 * Calls `act` when what an error is about has changed: the value or what is painted over it; where it names none, anything
 * of the form. Another model mends whatever it may be. Gives what ends the watch.
 * @param {string} control its id
 * @param {HTMLElement | null} place
 * @param {string} task
 * @param {() => void} act
 */
function whenMended(control, place, task, act) {
  const field = fieldAt(control);
  const look = () => [field ? field.store.value(field.name) : formOf(task)?.values(), model.value];
  /** @type {any} */
  let before = null;
  const stop = effect(() => {
    const now = look();
    before ??= now;
    if (!same(now, before)) queueMicrotask(act);
  });
  place?.addEventListener("easel-painted", act);
  return () => {
    stop();
    place?.removeEventListener("easel-painted", act);
  };
}
