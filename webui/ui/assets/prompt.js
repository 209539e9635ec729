// Prompt boxes: tokens counted as they are typed, and the keys for weights, history and Generate.

import { node, setText } from "./dom.js";
import { fieldAt, untaken } from "./forms.js";
import { fieldOf } from "./gradio.js";
import { historyPanel, rememberPrompts } from "./history.js";
import { sentence, t } from "./i18n.js";
import { openPanel } from "./panel.js";
import { weigh, writeText } from "./prompt-edits.js";
import { settingsText } from "./settings-text.js";
import { effect } from "./signals.js";
import { stylesPanel } from "./styles.js";
import { tokenCounter } from "./token-counter.js";

const read = (id) => {
  const { store, name } = fieldAt(id) ?? {};
  return store?.value(name) ?? "";
};

// What a task's words do. `pair` are the ids of prompt and negative prompt, "" where there is none.
export function prompts(element, pair, upload) {
  const box = (id) => (id ? fieldOf(id, "text") : null);
  const words = {
    read: () => pair.map((id) => read(id)),
    write: (texts) =>
      [1, 0].forEach((place) => {
        // the prompt last: the first Ctrl+Z brings it back, the next the other
        const one = box(pair[place]);
        if (one && one.value !== texts[place]) writeText(one, texts[place]);
      }),
    focus: () => box(pair[0])?.focus(),
    form: () => element.closest(".easel-task"),
  };
  rememberPrompts(words);
  const task = pair[0].replace(/-prompt$/, "");
  const pasteSettings = task && settingsText(words, task, upload);
  element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-act]");
    if (button?.dataset.act === "history") openPanel(button, t("History"), (panel) => historyPanel(panel, words));
    if (button?.dataset.act === "paste") pasteSettings(button);
    if (button?.dataset.act === "styles") openPanel(button, t("Styles"), (panel) => stylesPanel(panel, words));
  });
  for (const place of element.querySelectorAll(".prompt-count")) tokenCounter(place);
  notTaken(element.querySelector(".prompt-told"), words, task);

  const form = words.form();
  form.addEventListener(
    "keydown",
    (event) => {
      const one = event.target;
      if (!(one instanceof HTMLTextAreaElement) || !one.closest(".easel-prompt") || event.isComposing) return;
      const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (!by || event.shiftKey) return;
      let done = false;
      if ((event.ctrlKey || event.metaKey) && !event.altKey) done = weigh(one, by) || true;
      else if (!event.ctrlKey && !event.metaKey && pair.includes(one.closest("[id]").id)) {
        const walking =
          event.altKey || words.history.walking() || (by > 0 && one.selectionStart === 0 && one.selectionEnd === 0);
        const start = one.selectionStart === 0 && one.selectionEnd === 0;
        const end = one.selectionStart === one.value.length;
        if (walking && (event.altKey || (by > 0 ? start : start || end))) {
          done = words.history.walk(by);
          if (done)
            requestAnimationFrame(() => {
              one.focus();
              one.setSelectionRange(0, 0);
            });
        }
      }
      if (done) event.preventDefault();
    },
    true,
  );
}

// What could not be taken over from settings that came into the form, until the next ones, an undo or a job.
function notTaken(place, words, task) {
  if (!place) return;
  const form = words.form();
  const list = place.querySelector("ul");
  const show = (notes) => {
    list.replaceChildren(...notes.map((note) => node("li", {}, sentence(note))));
    place.hidden = !notes.length;
  };
  const forget = () => {
    if (untaken.value[task]?.length) untaken.value = { ...untaken.value, [task]: [] };
  };
  const close = place.querySelector("button");
  setText(close, t("Close"), "aria-label");
  close.addEventListener("click", () => {
    forget();
    words.focus();
  });
  effect(() => show(untaken.value[task] ?? []));
  form.addEventListener("click", (event) => {
    if (event.target.closest(".easel-generate, .easel-add")) forget();
  });
}
