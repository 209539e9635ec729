// Edits of a prompt box as if somebody had typed.

import { weighed } from "./weights.js";

// Replaces part of a box so that Ctrl+Z brings it back: an edit of the browser's own, which Gradio hears of too.
export function writeText(box, text, from, to) {
  const before = document.activeElement;
  box.focus({ preventScroll: true });
  box.setSelectionRange(from ?? 0, to ?? box.value.length);
  if (box.selectionStart !== box.selectionEnd || text)
    document.execCommand(text ? "insertText" : "delete", false, text);
  if (before && before !== box && before.focus) before.focus({ preventScroll: true });
}

// Answers whether there was something to weigh.
export function weigh(box, by) {
  const edit = weighed(box.value, box.selectionStart, box.selectionEnd, by);
  if (!edit) return false;
  writeText(box, edit.text, edit.from, edit.to);
  box.setSelectionRange(edit.start, edit.end);
  return true;
}
