// A picture, and how it was made, handed from one place of the page to a task's form (webui/ui/send_to.py).

import { sendAll } from "./canvas-send.js";
import { chosenTab } from "./gradio.js";

const waiting = [];
let deliver = (what) => {
  waiting.push(what);
}; // until the page is whole

export function sendTo(what) {
  deliver(what);
}

export function sending(element, trigger, props, watch) {
  deliver = async (what) => {
    const { to = "", url = "", path = "", width = 0, height = 0, parameters = "", name = "" } = what;
    if (url) await sendAll(); // what was painted comes back with an undo
    trigger("hand", { to, url, path, width, height, parameters, name });
  };
  for (const what of waiting.splice(0)) deliver(what);

  watch("value", () => {
    // it is in place
    const { to, number } = props.value || {};
    if (!number) return;
    document.dispatchEvent(new CustomEvent("easel-filled", { detail: { task: to } }));
    setTimeout(() => {
      // when Gradio has drawn it
      scrollTo({ top: 0, behavior: "instant" });
      const lost =
        !document.activeElement || document.activeElement === document.body || !document.activeElement.offsetParent;
      if (lost) chosenTab(document.querySelector(".easel-tabs"))?.focus({ preventScroll: true });
    }, 100);
  });
}
