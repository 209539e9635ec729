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

const WAIT_MS = 15000; // for an answer
/** @type {Map<number, (answer: any) => void>} */
const asked = new Map(); // who waits for which

// As `sendTo`, for settings in a text (`parameters`) or in a picture (`path` or `url` of our own) that are to be read:
// {read: whether there are any, problem: what is wrong, ""}. The tab stays.
export function ask(what) {
  const number = (lastAsked += 1);
  return new Promise((resolve) => {
    const answer = (told) => {
      clearTimeout(timer);
      asked.delete(number);
      resolve(told);
    };
    const timer = setTimeout(() => answer({ read: false, problem: "" }), WAIT_MS);
    asked.set(number, answer);
    sendTo({ ...what, asked: number });
  });
}
let lastAsked = 0;

export function sending(element, trigger, props, watch) {
  deliver = async (what) => {
    const { to = "", url = "", path = "", width = 0, height = 0, parameters = "", name = "", asked = 0 } = what;
    if (url && !asked) await sendAll(); // what was painted comes back with an undo
    trigger("hand", { to, url, path, width, height, parameters, name, asked });
  };
  for (const what of waiting.splice(0)) deliver(what);

  watch("value", () => {
    // it is in place
    const { to, number, answer } = props.value || {};
    if (!number) return;
    if (answer) {
      asked.get(answer.asked)?.(answer);
      return;
    }
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
