// What the Models tab asks of the server (webui/http/models.py, downloads.py), in words; and how a model is used.
"use strict";
window.Easel = window.Easel || {};

Object.assign(Easel.icons, {
  pause: "M6.5 4v12M13.5 4v12",
  play: "M6 4l10 6-10 6z",
  cube: "m10 2.5 6.5 3.7v7.6L10 17.5l-6.5-3.7V6.2zM3.5 6.2 10 10l6.5-3.8M10 10v7.5",
  layers: "m10 3 7 3.7-7 3.7-7-3.7zM3 10l7 3.7 7-3.7M3 13.3 10 17l7-3.7",
  word: "M4 5h12M10 5v11M7.5 16h5",
  lens: "M10 16a6 6 0 1 0 0-12 6 6 0 0 0 0 12M10 12.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5",
  bones: "M4 16 10 4l6 12M6.5 11h7",
});

Easel.models = {
  kept: Promise.resolve(),  // when all that was written about files has arrived
  edited: new Set(),  // their ids: a card may show what was before
  ICONS: { checkpoint: "cube", lora: "layers", embedding: "word", hypernetwork: "layers", vae: "lens", controlnet: "bones", upscaler: "upscale" },
  kinds() {
    return { checkpoint: Easel.t("Checkpoints"), lora: Easel.t("LoRA"), embedding: Easel.t("Embeddings"),
      hypernetwork: Easel.t("Hypernetworks"), vae: Easel.t("VAE"),
      controlnet: Easel.t("ControlNet"), upscaler: Easel.t("Upscalers") };
  },
  kind(name) {
    return { checkpoint: Easel.t("Checkpoint"), lora: Easel.t("LoRA"), embedding: Easel.t("Embedding"),
      hypernetwork: Easel.t("Hypernetwork"), vae: Easel.t("VAE"),
      controlnet: Easel.t("ControlNet"), upscaler: Easel.t("Upscaler") }[name] || name;
  },
  // JSON from a route of ours. Throws an Error whose message is a sentence for people.
  async ask(path, method = "GET", body = undefined) {
    try {
      return await Easel.kept.ask(method, path, body);
    } catch (error) {  // fetch itself throws a TypeError
      throw error instanceof TypeError ? new Error(Easel.t("The server does not answer.")) : error;
    }
  },
  bytes(size) {
    if (!size) return "";
    const [number, unit] = size >= 1e9 ? [size / 1e9, "GB"] : size >= 1e6 ? [size / 1e6, "MB"] : [size / 1e3, "kB"];
    return `${number >= 10 || unit === "kB" ? Math.max(1, Math.round(number)) : number.toFixed(1)} ${unit}`;
  },
  short: (family) => family.replace("Stable Diffusion XL", "SDXL").replace("Stable Diffusion", "SD"),
  // A problem without the file's name, which stands above it.
  problem(file) {
    const own = [file.file, file.name].find((one) => file.problem.startsWith(one + ": "));
    const said = own ? file.problem.slice(own.length + 2) : file.problem;
    return said.charAt(0).toUpperCase() + said.slice(1);
  },
  chosen: () => document.querySelector("#easel-model input")?.value ?? "",
};

// --- Use in the prompt ---

(() => {
  let last = null;  // the task that somebody worked in
  for (const kind of ["focusin", "pointerdown"]) {
    document.addEventListener(kind, (event) => { last = event.target.closest?.(".easel-task") || last; }, true);
  }
  const tasks = () => [...document.querySelectorAll(".easel-task")].filter((one) => one.querySelector(".easel-prompt textarea"));
  const task = () => (last?.isConnected && tasks().includes(last) ? last : tasks()[0]);

  // Shows the tab of the task that was worked in last; gives its element when it can be seen.
  Easel.models.toTask = async function () {
    const form = task();
    if (!form) return null;
    const panel = form.closest("[role=tabpanel]");
    const tab = panel && document.getElementById(panel.getAttribute("aria-labelledby") || "")
      || document.querySelector(`[role=tab][aria-controls="${CSS.escape(panel?.id || "")}"]`);
    tab?.click();
    for (let tries = 0; tries < 100 && form.offsetParent === null; tries++) await new Promise((go) => requestAnimationFrame(go));
    return form.offsetParent === null ? null : form;
  };

  function into(box, text, at) {  // with what separates it from its neighbours; Ctrl+Z takes it out again
    const before = box.value.slice(0, at), after = box.value.slice(at);
    const front = !before.trim() || /[\s,]$/.test(before) ? "" : ", ";
    const lead = /,$/.test(before) ? " " : "";
    const back = !after.trim() || /^\s*,/.test(after) ? "" : ", ";
    Easel.write(box, front + lead + text + back, at, at);
  }

  // Puts a LoRA or an embedding into the prompt where the caret stood, and its negative words into the other box.
  Easel.models.insert = async function (file) {
    const form = await Easel.models.toTask();
    if (!form) return;
    const [prompt, negative] = form.querySelectorAll(".easel-prompt textarea");
    const tag = file.insert.startsWith("<") ? file.insert.slice(0, file.insert.indexOf(`${file.name}:`) + file.name.length + 1) : file.insert;
    if (prompt.value.includes(tag)) Easel.toast(Easel.t("{name} is in the prompt already.", { name: file.name }), null, 4);
    else {
      const at = prompt.selectionStart === 0 && document.activeElement !== prompt ? prompt.value.length : prompt.selectionStart;
      if (file.insert_negative && negative && !negative.value.includes(file.insert_negative)) {
        into(negative, file.insert_negative, negative.value.length);
      }
      into(prompt, file.insert, at);
    }
    prompt.focus();
  };
})();
