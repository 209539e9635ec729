// The page's own behaviour: keys, light and dark, sentences beside the button. No request leaves from here.

import { setText } from "./dom.js";
import { asksForTheme, gradioIsDrawn } from "./gradio.js";
import { sentence, t } from "./i18n.js";
import { settle } from "./numbers.js";
import { server, serverOffline } from "./server-status.js";
import { tabs } from "./tabs.js";

// Why a request was refused: the sentence, and a mark at the control that it is about. A press that nobody answers is
// not kept, so that is said here, too, until the server is back.
export function problem(element, props, watch) {
  const line = element.querySelector(".easel-problem-line");
  let lost = false;
  const show = () => {
    const { message = "", control = "" } = lost
      ? { message: t("The server does not answer: press again when it is back.") }
      : props.value || {};
    setText(line, sentence(message));
    line.hidden = !message;
    document.querySelectorAll(".easel-wrong").forEach((wrong) => wrong.classList.remove("easel-wrong"));
    if (message && control) document.getElementById(control)?.classList.add("easel-wrong");
  };
  const hear = (now) => {
    lost = now;
    show();
  };
  watch("value", () => hear(false));
  element.closest(".easel-task").addEventListener(
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

export function setDark(dark) {
  document.body.classList.toggle("dark", dark);
  try {
    localStorage.setItem("easel-dark", dark ? "1" : "0");
  } catch {
    /* private mode */
  }
}

export function start() {
  gradioIsDrawn();
  let wanted = null;
  try {
    wanted = localStorage.getItem("easel-dark");
  } catch {
    /* private mode */
  }
  if (wanted !== null && !asksForTheme()) {
    document.body.classList.toggle("dark", wanted === "1");
  }
  document.addEventListener("click", (event) => {
    if (event.target.closest(".easel-theme")) setDark(!document.body.classList.contains("dark"));
  });
  document.addEventListener(
    "click",
    (event) => {
      // a double click is one picture
      if (event.detail > 1 && event.target.closest?.(".easel-generate, .easel-add")) event.stopImmediatePropagation();
    },
    true,
  );
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      if (event.repeat) return event.preventDefault();
      const task = [...document.querySelectorAll(".easel-task")].find((one) => one.offsetParent !== null);
      const button = task?.querySelector(".easel-generate");
      if (!button || task.dataset.running) return;
      event.preventDefault();
      settle(document.activeElement);
      button.click();
    },
    true,
  );
  tabs();
}
