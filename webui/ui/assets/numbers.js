// Numbers: what was typed out of range is set to the nearest, with a note; sizes by a click; seeds by dice.
// Limits come from Python (webui/ui/limits.py) as [label, lowest, highest, step] by the control's id.
"use strict";
window.Easel = window.Easel || {};

// Sets a field as if somebody had typed: Gradio hears of it.
Easel.fill = function (input, value) {
  const kind = input instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(kind.prototype, "value").set.call(input, value);
  input.dispatchEvent(new Event("input", { bubbles: true }));
  input.dispatchEvent(new Event("change", { bubbles: true }));
};

Easel.numberField = (id) => document.querySelector(`#${CSS.escape(id)} input[type=number]`);

// The nearest number that a control takes, and why the given one is not it ("" where it is).
Easel.nearest = function (given, [label, low, high, step]) {
  const values = { label, given, limit: given < low ? low : high };
  if (given < low) return [low, Easel.t("{label}: {given} is less than {limit}; set to {limit}", values)];
  if (given > high) return [high, Easel.t("{label}: {given} is more than {limit}; set to {limit}", values)];
  if (!step || given % step === 0) return [given, ""];
  const set = Math.min(Math.floor(high / step) * step, Math.max(Math.ceil(low / step) * step, Math.round(given / step) * step));
  if (step === 1) return [set, Easel.t("{label}: {given} is not a whole number; set to {set}", { label, given, set })];
  return [set, Easel.t("{label}: {given} is not a multiple of {step}; set to {set}", { label, given, step, set })];
};

// A sentence under a control; "" takes it away.
Easel.remark = function (control, text) {
  let note = control.querySelector(":scope > .easel-remark");
  if (!note && text) {
    note = Easel.node("p", { class: "easel-remark", role: "status" });
    control.append(note);
  }
  if (note) { note.textContent = text; note.hidden = !text; }
};

Easel.limits = function (limits) {
  const rule = (input) => {
    for (let at = input; at; at = at.parentElement) if (at.id in limits) return [at, limits[at.id]];
    return [null, null];
  };

  Easel.settle = function (input) {  // before Gradio does it without a word, and before it is sent
    if (!(input instanceof HTMLInputElement || input instanceof HTMLTextAreaElement)) return;
    const [control, limit] = rule(input);
    const text = input.value.trim(), given = Number(text);
    if (!control || input.type === "range" || !text || !Number.isFinite(given)) return;
    const [set, why] = Easel.nearest(given, limit);
    if (set !== given) Easel.fill(input, String(set));
    if (why) Easel.remark(control, why);
  };

  for (const kind of ["change", "blur"]) {
    document.addEventListener(kind, (event) => { if (event.target.matches?.("input, textarea")) Easel.settle(event.target); }, true);
  }
  document.addEventListener("input", (event) => {
    if (!event.isTrusted) return;  // ours
    const [control] = event.target.matches?.("input, textarea") ? rule(event.target) : [null];
    if (control) Easel.remark(control, "");
  }, true);
};

// --- Sizes ---------------------------------------------------------------------------------------

Easel.shapes = function (element, props, watch, task) {
  const place = element.querySelector(".easel-shapes");
  const sides = () => ["width", "height"].map((name) => Easel.numberField(`${task}-${name}`));

  function mark() {
    const [width, height] = sides().map((input) => input && Number(input.value));
    for (const button of place.children) {
      button.setAttribute("aria-pressed", button.dataset.size === `${width}x${height}`);
    }
  }

  function draw() {
    place.replaceChildren(...(props.value?.shapes || []).map(([ratio, width, height]) => {
      const title = Easel.t("{width} × {height}", { width, height });
      const button = Easel.node("button", { type: "button", "data-size": `${width}x${height}`, title,
        "aria-label": `${ratio}, ${title}`, translate: "no" });
      const picture = Easel.node("i", { style: `aspect-ratio: ${width} / ${height}; ${width < height ? "height" : "width"}: 16px` });
      button.append(picture, Easel.node("span", {}, ratio));
      button.addEventListener("click", () => {
        sides().forEach((input, side) => Easel.fill(input, side ? height : width));
        mark();
      });
      return button;
    }));
    mark();
  }

  const group = element.closest(".easel-group") || element.parentElement;
  for (const kind of ["input", "change"]) group.addEventListener(kind, () => requestAnimationFrame(mark));
  // A slider that Python sets says so in the style of its bar only.
  new MutationObserver(mark).observe(group, { subtree: true, childList: true, attributeFilter: ["style"] });
  watch("value", draw);
  draw();
};

Easel.swap = function (element, task) {
  element.querySelector("button").addEventListener("click", () => {
    const [width, height] = ["width", "height"].map((name) => Easel.numberField(`${task}-${name}`));
    const before = width.value;
    Easel.fill(width, height.value);
    Easel.fill(height, before);
  });
};

// --- Seeds ---------------------------------------------------------------------------------------

// Dice, and the seed of the picture that is shown (`Easel.last`, assets/stage.js).
Easel.seedTools = function (element, name) {
  const row = element.closest(".easel-seed");
  const control = () => row.querySelector("input[type=number]").closest("[id]");
  element.addEventListener("click", (event) => {
    const act = event.target.closest("button")?.dataset.act;
    const input = row.querySelector("input[type=number]");
    if (act === "dice") Easel.fill(input, "-1");
    if (act !== "reuse") return;
    const varied = [...(Easel.last?.parameters || "").matchAll(/Variation seed: (\d+)/g)].pop();  // the words may say it too
    const seed = name === "subseed" ? varied?.[1] : Easel.last?.seed;
    const none = Easel.last ? Easel.t("The picture that is shown has none") : Easel.t("No picture is shown yet");
    const there = seed !== undefined && seed !== null && seed !== "" && !Number.isNaN(Number(seed));
    if (there) Easel.fill(input, String(seed));
    Easel.remark(control(), there ? "" : none);
  });
};
