// Settings as text, as A1111 writes them and Easel copies them: pasted into a prompt, by the button at it, or in a picture
// that is dropped there. Python reads them (webui/ui/send_to.py); what it cannot read is words like any other.

import { decode, Refused } from "./canvas-input.js";
import { node, setText } from "./dom.js";
import { arriving } from "./forms.js";
import { sentence, t } from "./i18n.js";
import { toast } from "./overlays.js";
import { ownPicture } from "./own-pictures.js";
import { openPanel } from "./panel.js";
import { writeText } from "./prompt-edits.js";
import { ask } from "./send-to.js";
import { maySettings } from "./settings-like.js";

/**
 * Takes settings into a task's form; gives whether there were any, or what is wrong.
 * @param {string} task @param {{ parameters?: string, path?: string, url?: string }} what
 * @returns {Promise<{ read: boolean, problem: any }>}
 */
async function take(task, what) {
  const answer = ask({ ...what, to: task });
  arriving.add(answer); // a press of Generate waits for them
  try {
    return await answer;
  } finally {
    arriving.delete(answer);
  }
}

/** @param {string} task @param {any} box @param {string} text @param {[number, number]} at */
async function takeOrInsert(task, box, text, at) {
  const { read } = await take(task, { parameters: text });
  if (read) return;
  writeText(box, text, ...at);
  box.focus();
}

/**
 * What a task's prompts do with settings. `words` is as prompt.js has it, `upload` sends a file.
 * @param {any} words @param {string} task @param {(file: File) => Promise<{ path: string, url: string }>} upload
 */
export function settingsText(words, task, upload) {
  const place = words.form().querySelector(".easel-words");
  place.addEventListener(
    "paste",
    (/** @type {ClipboardEvent} */ event) => {
      const box = /** @type {any} */ (event.target);
      const text = event.clipboardData?.getData("text/plain") ?? "";
      if (!box.matches(".easel-prompt textarea") || !maySettings(text)) return;
      event.preventDefault();
      takeOrInsert(task, box, text, [box.selectionStart, box.selectionEnd]);
    },
    true,
  );

  /** @param {File} file */
  async function takeFile(file) {
    if (/^text\/|\.txt$/i.test(file.type || file.name)) {
      tell(await take(task, { parameters: await file.text() }));
      return;
    }
    try {
      (await decode(file, file.name)).close();
      const { path, url } = await upload(file);
      tell(await take(task, { path, url }));
    } catch (problem) {
      const lost = t("The picture could not be uploaded; it may be larger than 64 MB.");
      toast(problem instanceof Refused ? problem.message : lost, null, 8);
    }
  }

  const tell = (/** @type {{ read: boolean, problem: any }} */ { read, problem }) => {
    if (!read) toast(sentence(problem) || t("The server does not answer: press again when it is back."), null, 8);
  };

  const carries = (/** @type {DragEvent} */ { dataTransfer }) =>
    ["Files", "text/uri-list"].some((kind) => dataTransfer?.types.includes(kind));
  place.addEventListener("dragover", (/** @type {DragEvent} */ event) => {
    if (!carries(event)) return;
    event.preventDefault();
    place.dataset.over = "yes";
  });
  place.addEventListener("dragleave", (/** @type {DragEvent} */ event) => {
    if (!place.contains(/** @type {Node | null} */ (event.relatedTarget))) delete place.dataset.over;
  });
  place.addEventListener("drop", async (/** @type {DragEvent} */ event) => {
    delete place.dataset.over;
    const { dataTransfer } = event;
    const text = dataTransfer?.getData("text/plain") ?? "";
    const address = dataTransfer?.getData("text/uri-list").split("\n")[0].trim() ?? "";
    const own = address && ownPicture(address);
    const file = dataTransfer?.files[0];
    if (!own && !file && !address && !maySettings(text)) return; // words
    event.preventDefault();
    if (own) tell(await take(task, own));
    else if (file) takeFile(file);
    else if (address) toast(t("Addresses are not fetched; save the picture and drop the file."), null, 8);
    else tell(await take(task, { parameters: text }));
  });

  /** The button at the prompt: what stands in the prompt, else in the clipboard, else what is pasted there. */
  return async (/** @type {any} */ button) => {
    if (!button.easelOpen) {
      const own = words.read()[0];
      const sources = [async () => own, async () => navigator.clipboard.readText()];
      for (const source of sources) {
        const text = await source().catch(() => ""); // no secure context, or no permission
        if (maySettings(text) && (await take(task, { parameters: text })).read) return;
      }
    }
    openPanel(button, t("Paste settings"), (panel) => fillPanel(panel, task));
    document.querySelector(".easel-panel:popover-open textarea")?.focus();
  };
}

/** @param {HTMLElement} panel @param {string} task */
function fillPanel(panel, task) {
  const form = node("form", { class: "panel-form panel-paste" });
  const box = node("textarea", { rows: 6, "aria-label": t("Settings as text"), spellcheck: "false", translate: "no" });
  setText(box, t("Paste the text here: prompt, negative prompt, “Steps: 20, Sampler: …”"), "placeholder");
  const wrong = node("p", { class: "panel-wrong", role: "alert", hidden: "" });
  const send = node("button", { type: "submit", class: "panel-main" }, t("Take the settings"));
  const go = async () => {
    if (!box.value.trim()) return box.focus();
    const { read, problem } = await take(task, { parameters: box.value });
    if (read) return panel.hidePopover();
    setText(wrong, sentence(problem) || t("The server does not answer: press again when it is back."));
    wrong.hidden = false;
    box.focus();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go();
  });
  box.addEventListener("paste", () => setTimeout(() => maySettings(box.value) && go()));
  form.append(box, wrong, send);
  panel.append(form);
}
