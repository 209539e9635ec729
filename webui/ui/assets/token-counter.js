// Tokens, counted as they are typed.

import { reason } from "./api.js";
import { setText } from "./dom.js";
import { fieldAt, model } from "./forms.js";
import { t } from "./i18n.js";
import { server } from "./server-status.js";
import { effect } from "./signals.js";

export const COUNT_MS = 150; // of quiet before a text is counted

export const LONGEST = 20000; // characters of a prompt

// Keeps the count beside one box. A key stroke starts a timer and nothing else; an answer to a text that is no longer
// there is dropped.
export function tokenCounter(place) {
  const id = place.dataset.for;
  let timer = 0,
    shown = null,
    asked = 0;
  const { store, name } = fieldAt(id);
  const text = () => store.value(name) ?? "";
  const form = place.closest(".easel-task");
  // An engine that has not read the model yet counts in words that most models have.
  const state = () =>
    [model.value, server.engineStarted.value, form.dataset.running ? "running" : "", text()].join("\n");

  function say(tokens, chunks, limit) {
    setText(place, tokens ? `${tokens}/${limit * chunks}` : "");
    place.title =
      chunks > 1
        ? t("{tokens} tokens, read in {chunks} parts of {limit}", { tokens, chunks, limit })
        : t("{tokens} of {limit} tokens that are read at once", { tokens, limit });
  }

  async function ask() {
    const now = text(),
      which = model.value ?? "",
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
      } // the server is away; it is asked again when it is back
    }
  }

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(look, COUNT_MS);
  };
  const look = () => {
    if (shown !== state() && form.offsetParent && !document.hidden) ask();
  };
  effect(() => {
    state();
    later();
  });
  new MutationObserver(look).observe(form, { attributeFilter: ["data-running"] });
  new IntersectionObserver(look).observe(form); // a tab that is shown
  for (const kind of ["visibilitychange", "easel-back"]) document.addEventListener(kind, look);
}
