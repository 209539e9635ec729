// Tokens, counted as they are typed.

import { reason } from "./api.js";
import { setText } from "./dom.js";
import { fieldOf } from "./gradio.js";
import { t } from "./i18n.js";
import { server } from "./server-status.js";

export const COUNT_MS = 150; // of quiet before a text is counted

export const LONGEST = 20000; // characters of a prompt

// Keeps the count beside one box. A key stroke starts a timer and nothing else; an answer to a text that is no longer
// there is dropped.
export function tokenCounter(place) {
  const id = place.dataset.for;
  let timer = 0,
    shown = null,
    asked = 0;
  const text = () => fieldOf(id, "text")?.value ?? "";
  const model = () => fieldOf("easel-model", "menu")?.value ?? "";
  const form = place.closest(".easel-task");
  // An engine that has not read the model yet counts in words that most models have.
  const state = () => [model(), server.engineStarted ?? 0, form.dataset.running ? "running" : "", text()].join("\n");

  function say(tokens, chunks, limit) {
    setText(place, tokens ? `${tokens}/${limit * chunks}` : "");
    place.title =
      chunks > 1
        ? t("{tokens} tokens, read in {chunks} parts of {limit}", { tokens, chunks, limit })
        : t("{tokens} of {limit} tokens that are read at once", { tokens, limit });
  }

  async function ask() {
    const now = text(),
      which = model(),
      mine = ++asked;
    shown = state();
    if (!now.trim()) {
      say(0, 1, 75);
      return;
    }
    if (now.length > LONGEST) {
      setText(place, t("too long"));
      place.title = t("{number} characters; at most {most} are read", { number: now.length, most: LONGEST });
      return;
    }
    try {
      const answer = await fetch("api/tokens", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ text: now, model: which }),
      });
      const said = await answer.json();
      if (mine !== asked) return;
      if (answer.ok) say(said.tokens, said.chunks, said.limit);
      else {
        setText(place, "…");
        setText(place, reason(said), "title");
      }
    } catch {
      if (mine === asked) {
        setText(place, "");
        shown = null;
      } // the server is away; the next look asks again
    }
  }

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, COUNT_MS);
  };
  const look = () => {
    if (shown !== state()) ask();
  };
  document.addEventListener(
    "input",
    (event) => {
      if (event.target.closest?.("#" + CSS.escape(id))) later();
    },
    true,
  );
  // What Python puts into the box, and another model, come without an event.
  setInterval(() => {
    if (place.offsetParent && !document.hidden) look();
  }, 1000);
}
