// The painter's buttons, sliders and keys, and the circle under the pointer.

import { listenToPointers } from "./canvas-pointers.js";
import { setText } from "./dom.js";
import { named, t } from "./i18n.js";

// `acts` are what buttons and keys without a tool do, by name; `extend` shows the frame's handles.
export function createToolbar(body, painter, acts, extend) {
  const $ = (selector) => body.querySelector(selector),
    $$ = (selector) => [...body.querySelectorAll(selector)];
  const { brush, view, hand } = painter,
    circle = $(".canvas-brush"),
    window_ = $(".canvas-view"),
    said = body.parentElement.querySelector(".canvas-said");
  const size = $("[data-slider=size]"),
    soft = $("[data-slider=soft]");
  const pointers = listenToPointers(view, hand);
  let before = "brush",
    speaking = 0,
    over = false;

  function choose(tool) {
    if (tool === "pick" && brush.tool === "pick") tool = before;
    if (brush.tool !== "pick") before = brush.tool;
    brush.tool = tool;
    for (const one of $$("[data-tool]")) one.setAttribute("aria-pressed", one.dataset.tool === tool);
    window_.dataset.hand = tool;
    speak();
  }

  function paint(code) {
    brush.colour = code ? [1, 3, 5].map((at) => parseInt(code.slice(at, at + 2), 16)) : null;
    let named = false;
    for (const one of $$("[data-colour]")) {
      const mine = one.dataset.colour === (code || "");
      one.setAttribute("aria-pressed", mine);
      named ||= mine;
    }
    const other = $("input[type=color]");
    other.classList.toggle("canvas-chosen", !named);
    if (!named) other.value = code;
    if (["pan", "eraser", "pick"].includes(brush.tool)) choose("brush");
  }

  function show(name) {
    const button = $(`[data-show=${name}]`),
      shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", shown);
    if (name === "extend") extend.open(shown);
    else {
      $(".canvas-colours").hidden = !shown;
      if (shown && !brush.colour) paint("#d62828"); // who opens the colours wants one
      if (!shown) paint("");
      acts.colours?.();
    }
  }

  function slide() {
    brush.size = Number(size.value);
    brush.soft = Number(soft.value);
    setText(size.nextElementSibling, t("{size} px", { size: Math.round(painter.diameter()) }));
    soft.nextElementSibling.value = `${brush.soft} %`;
    setText(size, t("{size} px", { size: Math.round(painter.diameter()) }), "aria-valuetext");
    sizes();
    speak();
  }

  function speak() {
    // what a key has changed, once it is still
    clearTimeout(speaking);
    speaking = setTimeout(() => {
      const name = named($(`[data-tool=${brush.tool}]`).dataset.i18nAriaLabel);
      const sized = ["brush", "eraser"].includes(brush.tool);
      setText(
        said,
        sized
          ? t("{tool}, {size} px, soft edge {soft} %", {
              tool: name,
              size: Math.round(painter.diameter()),
              soft: brush.soft,
            })
          : name,
      );
    }, 300);
  }

  // --- The circle ---

  function sizes() {
    const across = painter.diameter() * view.scale;
    circle.style.width = circle.style.height = across + "px";
    circle.style.setProperty("--core", `${(50 * brush.soft) / 100}%`);
  }

  hand.hover = (event) => {
    over = true;
    const box = window_.getBoundingClientRect();
    circle.style.transform = `translate(${event.clientX - box.left}px, ${event.clientY - box.top}px) translate(-50%, -50%)`;
    circle.hidden = event.pointerType === "touch" || !["brush", "eraser"].includes(brush.tool);
    circle.dataset.hand = brush.tool;
  };
  hand.leave = () => {
    over = false;
    circle.hidden = true;
  };
  hand.picked = (colour) => {
    if (!colour) return;
    if ($(".canvas-colours").hidden) show("colours");
    paint("#" + colour.map((part) => part.toString(16).padStart(2, "0")).join(""));
  };

  // --- Buttons and keys ---

  body.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { tool, act, colour } = button.dataset;
    if (tool) choose(tool);
    else if (button.dataset.show) show(button.dataset.show);
    else if (colour !== undefined) paint(colour);
    else if (act) acts[act]();
  });
  for (const one of [size, soft]) one.addEventListener("input", slide);
  $("input[type=color]").addEventListener("input", (event) => paint(event.target.value));

  const slider = (one, by) => {
    one.value = Number(one.value) + by;
    slide();
  };
  const KEYS = {
    "[": () => slider(size, -5),
    "]": () => slider(size, 5),
    "{": () => slider(soft, -10),
    "}": () => slider(soft, 10),
    b: () => choose("brush"),
    e: () => choose(brush.tool === "eraser" ? "brush" : "eraser"),
    l: () => choose("lasso"),
    g: () => choose("fill"),
    h: () => choose("pan"),
    p: () => {
      if ($(".canvas-colours").hidden) show("colours");
      choose("pick");
    },
    c: () => show("colours"),
    x: () => show("extend"),
    i: () => acts.invert(),
    f: () => acts.enlarge(),
    delete: () => acts.clear(),
    0: () => acts.fit(),
    1: () => acts.full(),
    "+": () => acts.in(),
    "=": () => acts.in(),
    "-": () => acts.out(),
  };
  for (const key of acts.without ?? "") delete KEYS[key];
  const KEYS_WITH_CONTROL = { z: (event) => (event.shiftKey ? acts.redo() : acts.undo()), y: () => acts.redo() };

  function mine(event) {
    // a key is the painter's where it has the focus, or the pointer while nothing has it
    if (!body.isConnected || body.hidden || !body.offsetParent) return false;
    if (event.target.closest?.("input:not([type=range]), select, textarea")) return false;
    return body.contains(event.target) || (over && event.target === document.body);
  }

  document.addEventListener("keydown", (event) => {
    const third = event.getModifierState("AltGraph"); // [ and ] on many keyboards
    if ((event.altKey && !third) || !mine(event)) return;
    const key = event.key.toLowerCase(),
      control = (event.ctrlKey || event.metaKey) && !third;
    if (key === " " && !event.target.closest("button, input")) {
      pointers.space(true);
      event.preventDefault();
      return;
    }
    const bracket = { BracketLeft: "{", BracketRight: "}" }[event.shiftKey && event.code]; // wherever { and } are
    const run = control ? KEYS_WITH_CONTROL[key] : KEYS[bracket || key];
    if (!run) return;
    event.preventDefault();
    run(event);
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") pointers.space(false);
  });
  window.addEventListener("blur", () => pointers.space(false));

  choose("brush");
  return {
    refresh() {
      const can = painter.can();
      $("[data-act=undo]").disabled = !can.undo;
      $("[data-act=redo]").disabled = !can.redo;
    },
    rescale() {
      sizes();
      setText(size.nextElementSibling, t("{size} px", { size: Math.round(painter.diameter()) }));
      soft.nextElementSibling.value = `${brush.soft} %`;
    },
    close() {
      if (!$(".canvas-extend").hidden) show("extend");
    },
  };
}
