// The page's own behaviour: keys, light and dark, what Gradio has to say. No request leaves from here.

import { asksForTheme, gradioIsDrawn, takeMessages } from "./gradio.js";
import { sentence } from "./i18n.js";
import { settle } from "./numbers.js";
import { toast } from "./overlays.js";
import { server } from "./server-status.js";
import { tabs } from "./tabs.js";

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
  takeMessages((told, ours) => {
    if (ours || !server.offline) toast(sentence(told), null, 8); // that the server is away is said at the foot
  });
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
