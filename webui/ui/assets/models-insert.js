// A model's words put into the prompt, in the task that somebody worked in last.

import { fieldOf, tabOf } from "./gradio.js";
import { t } from "./i18n.js";
import { toast } from "./overlays.js";
import { writeText } from "./prompt-edits.js";

let lastTask = null; // the task that somebody worked in
for (const kind of ["focusin", "pointerdown"]) {
  document.addEventListener(
    kind,
    (event) => {
      lastTask = event.target.closest?.(".easel-task") || lastTask;
    },
    true,
  );
}
const tasks = () =>
  [...document.querySelectorAll(".easel-task")].filter((one) => fieldOf(one.querySelector(".easel-prompt"), "text"));
const task = () => (lastTask?.isConnected && tasks().includes(lastTask) ? lastTask : tasks()[0]);

// Shows the tab of the task that was worked in last; gives its element when it can be seen.
export async function toTask() {
  const form = task();
  if (!form) return null;
  tabOf(form).tab?.click();
  for (let tries = 0; tries < 100 && form.offsetParent === null; tries++)
    await new Promise((go) => requestAnimationFrame(go));
  return form.offsetParent === null ? null : form;
}

function into(box, text, at) {
  // with what separates it from its neighbours; Ctrl+Z takes it out again
  const before = box.value.slice(0, at),
    after = box.value.slice(at);
  const front = !before.trim() || /[\s,]$/.test(before) ? "" : ", ";
  const lead = /,$/.test(before) ? " " : "";
  const back = !after.trim() || /^\s*,/.test(after) ? "" : ", ";
  writeText(box, front + lead + text + back, at, at);
}

// Puts a LoRA or an embedding into the prompt where the caret stood, and its negative words into the other box.
export async function insertModel(file) {
  const form = await toTask();
  if (!form) return;
  const [prompt, negative] = [...form.querySelectorAll(".easel-prompt")].map((one) => fieldOf(one, "text"));
  const tag = file.insert.startsWith("<")
    ? file.insert.slice(0, file.insert.indexOf(`${file.name}:`) + file.name.length + 1)
    : file.insert;
  if (prompt.value.includes(tag)) toast(t("{name} is in the prompt already.", { name: file.name }), null, 4);
  else {
    const at =
      prompt.selectionStart === 0 && document.activeElement !== prompt ? prompt.value.length : prompt.selectionStart;
    if (file.insert_negative && negative && !negative.value.includes(file.insert_negative)) {
      into(negative, file.insert_negative, negative.value.length);
    }
    into(prompt, file.insert, at);
  }
  prompt.focus();
}
