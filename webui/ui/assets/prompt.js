// Prompt boxes: tokens counted as they are typed, and the keys for weights, history and Generate.
"use strict";
window.Easel = window.Easel || {};

// What a task's words do. `pair` are the ids of prompt and negative prompt, "" where there is none.
Easel.prompts = function (element, task, pair) {
  const box = (id) => id ? document.querySelector(`#${CSS.escape(id)} textarea`) : null;
  const words = {
    read: () => pair.map((id) => box(id)?.value ?? ""),
    write: (texts) => [1, 0].forEach((place) => {  // the prompt last: the first Ctrl+Z brings it back, the next the other
      const one = box(pair[place]);
      if (one && one.value !== texts[place]) Easel.write(one, texts[place]);
    }),
    focus: () => box(pair[0])?.focus(),
    form: () => element.closest(".easel-task"),
  };
  Easel.remembering(words);
  element.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-act]");
    if (button?.dataset.act === "history") Easel.panel(button, Easel.t("History"), (panel) => Easel.historyPanel(panel, words));
    if (button?.dataset.act === "styles") Easel.panel(button, Easel.t("Styles"), (panel) => Easel.stylesPanel(panel, words));
  });
  for (const place of element.querySelectorAll(".prompt-count")) Easel.tokens(place);

  const form = words.form();
  const keptKey = "words-" + task;  // what is written outlives a reload
  const keep = () => Easel.remember(keptKey, words.read());
  form.addEventListener("input", (event) => { if (event.target.closest?.(".easel-prompt")) keep(); });
  new MutationObserver(() => { if (form.dataset.running) keep(); }).observe(form, { attributeFilter: ["data-running"] });
  const kept = Easel.recall(keptKey, []);
  setTimeout(() => {  // once Gradio has put its own values in place
    addEventListener("pagehide", keep);  // what Python puts into a box comes without an event
    kept.forEach((text, at) => { if (text && box(pair[at])?.value === "") Easel.fill(box(pair[at]), text); });
  });
  form.addEventListener("keydown", (event) => {
    const one = event.target;
    if (!(one instanceof HTMLTextAreaElement) || !one.closest(".easel-prompt") || event.isComposing) return;
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || event.shiftKey) return;
    let done = false;
    if ((event.ctrlKey || event.metaKey) && !event.altKey) done = Easel.weigh(one, by) || true;
    else if (!event.ctrlKey && !event.metaKey && pair.includes(one.closest("[id]").id)) {
      const walking = event.altKey || words.history.walking() || (by > 0 && one.selectionStart === 0 && one.selectionEnd === 0);
      const start = one.selectionStart === 0 && one.selectionEnd === 0;
      const end = one.selectionStart === one.value.length;
      if (walking && (event.altKey || (by > 0 ? start : start || end))) {
        done = words.history.walk(by);
        if (done) requestAnimationFrame(() => { one.focus(); one.setSelectionRange(0, 0); });
      }
    }
    if (done) event.preventDefault();
  }, true);
};

// --- Tokens --------------------------------------------------------------------------------------

Easel.COUNT_MS = 150;  // of quiet before a text is counted
Easel.LONGEST = 20000;  // characters of a prompt

// Keeps the count beside one box. A key stroke starts a timer and nothing else; an answer to a text that is no longer
// there is dropped.
Easel.tokens = function (place) {
  const id = place.dataset.for;
  let timer = 0, shown = null, asked = 0;
  const text = () => document.querySelector(`#${CSS.escape(id)} textarea`)?.value ?? "";
  const model = () => document.querySelector("#easel-model input")?.value ?? "";
  const form = place.closest(".easel-task");
  // An engine that has not read the model yet counts in words that most models have.
  const state = () => [model(), Easel.started ?? 0, form.dataset.running ? "running" : "", text()].join("\n");

  function say(tokens, chunks, limit) {
    place.textContent = tokens ? `${tokens}/${limit * chunks}` : "";
    place.title = chunks > 1
      ? Easel.t("{tokens} tokens, read in {chunks} parts of {limit}", { tokens, chunks, limit })
      : Easel.t("{tokens} of {limit} tokens that are read at once", { tokens, limit });
  }

  async function ask() {
    const now = text(), which = model(), mine = ++asked;
    shown = state();
    if (!now.trim()) { say(0, 1, 75); return; }
    if (now.length > Easel.LONGEST) {
      place.textContent = Easel.t("too long");
      place.title = Easel.t("{number} characters; at most {most} are read", { number: now.length, most: Easel.LONGEST });
      return;
    }
    try {
      const answer = await fetch("api/tokens", { method: "POST", headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ text: now, model: which }) });
      const said = await answer.json();
      if (mine !== asked) return;
      if (answer.ok) say(said.tokens, said.chunks, said.limit);
      else { place.textContent = "…"; place.title = said.error || ""; }
    } catch {
      if (mine === asked) { place.textContent = ""; shown = null; }  // the server is away; the next look asks again
    }
  }

  const later = () => { clearTimeout(timer); timer = setTimeout(ask, Easel.COUNT_MS); };
  const look = () => { if (shown !== state()) ask(); };
  document.addEventListener("input", (event) => { if (event.target.closest?.("#" + CSS.escape(id))) later(); }, true);
  // What Python puts into the box, and another model, come without an event.
  setInterval(() => { if (place.offsetParent && !document.hidden) look(); }, 1000);
};

// --- A panel under a button ----------------------------------------------------------------------

// Opens a small window at a button, or closes it. `fill(panel)` puts its content into it.
Easel.panel = function (button, title, fill) {
  let panel = button.easelPanel;
  if (!panel) {
    panel = Easel.node("div", { class: "easel-panel", popover: "auto", role: "dialog", "aria-label": title });
    panel.addEventListener("toggle", (event) => {
      button.setAttribute("aria-expanded", event.newState === "open");
      if (event.newState === "closed") panel.replaceChildren();
    });
    panel.addEventListener("keydown", (event) => {  // arrows go through what can be chosen
      if (event.key === "Escape") panel.hidePopover();  // a search field would only empty itself
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!by || event.target.matches("textarea")) return;
      const picks = [...panel.querySelectorAll(".panel-pick")];
      const next = picks.indexOf(event.target.closest(".panel-row")?.querySelector(".panel-pick")) + by;
      const to = next < 0 ? panel.querySelector("input[type=search]") : picks[next];
      if (to) { event.preventDefault(); to.focus(); }
    });
    // Light-dismiss comes with the press, the click after it would open it anew.
    button.addEventListener("pointerdown", () => { button.easelOpen = panel.matches(":popover-open"); });
    button.after(panel);
    button.easelPanel = panel;
  }
  const wasOpen = button.easelOpen;
  button.easelOpen = false;
  if (wasOpen) { panel.hidePopover(); return; }
  panel.replaceChildren();
  fill(panel);
  panel.showPopover();
  const at = button.getBoundingClientRect(), wide = panel.offsetWidth;
  panel.style.setProperty("--left", Math.max(8, Math.min(at.right - wide, innerWidth - wide - 8)) + "px");
  panel.style.setProperty("--top", at.bottom + 8 + "px");
  panel.querySelector("input[type=search]")?.focus();
};

Easel.searchField = function (label, changed) {
  const field = Easel.node("input", { type: "search", placeholder: label, "aria-label": label, autocomplete: "off" });
  field.addEventListener("input", () => changed(field.value.trim().toLowerCase()));
  return field;
};
