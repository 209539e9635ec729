// A picture that somebody gives and the mask painted over it (webui/ui/canvas.py). Strokes are kept as strokes:
// undo draws the rest again, at any picture size.
"use strict";
window.Easel = window.Easel || {};

Easel.canvas = function (element, trigger, props, upload, watch) {
  const $ = (selector) => element.querySelector(selector);
  const drop = $(".canvas-drop"), input = $(".canvas-drop input"), view = $(".canvas-view");
  const image = $(".canvas-view img"), note = $(".canvas-note"), remove = $(".canvas-remove");
  const mask = $(".canvas-view canvas"), tools = $(".canvas-tools"), brush = $(".canvas-brush");
  const LONGEST = 2048, COLOUR = "#c026d3"; // magenta: rare in pictures, so a mask shows on any
  let url = "";

  const say = (text) => { note.textContent = text; };
  const value = () => props.value || { image: null, mask: "", width: 0, height: 0 };

  // --- the picture ---
  async function take(file) {
    if (!file) return;
    say("");
    if (file.type && !file.type.startsWith("image/")) { say(`${file.name} is not a picture; use PNG, JPEG or WebP.`); return; }
    element.dataset.busy = "yes";
    try {
      const { path, url: where } = await upload(file);
      load(where, { path, url: where }, true);
    } catch {
      say("The picture could not be uploaded; it may be larger than 64 MB.");
    } finally {
      delete element.dataset.busy;
      input.value = "";
    }
  }

  function load(where, given, announce) {
    url = where;
    image.onload = () => {
      const width = image.naturalWidth, height = image.naturalHeight;
      view.style.setProperty("--ratio", width / height);
      if (mask) {
        const scale = Math.min(1, LONGEST / Math.max(width, height));
        mask.width = Math.max(1, Math.round(width * scale));
        mask.height = Math.max(1, Math.round(height * scale));
        acts = [];
      }
      shows(true);
      if (announce) {
        props.value = { image: given, mask: "", width, height };
        trigger("pick", {});
      }
    };
    image.onerror = () => { forget(); say("This file is not a whole picture; use PNG, JPEG or WebP."); };
    image.src = where;
  }

  function shows(there) {
    drop.hidden = there;
    view.hidden = !there;
    remove.hidden = !there;
    if (tools) tools.hidden = !there;
  }

  function forget() {
    url = "";
    image.onerror = null;
    image.removeAttribute("src");
    shows(false);
    props.value = { image: null, mask: "", width: 0, height: 0 };
  }

  input.addEventListener("change", () => take(input.files[0]));
  remove.addEventListener("click", () => { forget(); input.focus(); });
  element.addEventListener("dragover", (event) => { event.preventDefault(); element.dataset.over = "yes"; });
  element.addEventListener("dragleave", () => { delete element.dataset.over; });
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    delete element.dataset.over;
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    if (!element.isConnected || element.offsetParent === null) return;
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) { event.preventDefault(); take(file); }
  });
  watch("value", () => {  // Python hands over a picture, or takes it away
    const given = value().image;
    if (given && given.url !== url) load(given.url, given, true);
    else if (!given && url) forget();
  });

  // --- the mask ---
  let acts = [], stroke = null, tool = "brush";
  if (mask) paints();

  function paints() {
    const ink = mask.getContext("2d");
    const size = tools.querySelector("input");

    // The brush's width in pixels of the mask: 1 to 100 hundredths of a third of the longer side.
    const width = () => Math.max(1, size.value / 100 * Math.max(mask.width, mask.height) / 3);

    function at(event) {
      const box = mask.getBoundingClientRect();
      return [(event.clientX - box.left) * mask.width / box.width, (event.clientY - box.top) * mask.height / box.height];
    }

    function line(act, from) {
      ink.globalCompositeOperation = act.tool === "eraser" ? "destination-out" : "source-over";
      ink.strokeStyle = ink.fillStyle = COLOUR;
      ink.lineWidth = act.width;
      ink.lineCap = ink.lineJoin = "round";
      ink.beginPath();
      const [x, y] = act.points[Math.max(0, from - 1)];
      ink.moveTo(x, y);
      for (const [px, py] of act.points.slice(from)) ink.lineTo(px, py);
      if (act.points.length === 1) ink.lineTo(x, y + 0.01);
      ink.stroke();
    }

    function invert() {
      ink.globalCompositeOperation = "xor";
      ink.fillStyle = COLOUR;
      ink.fillRect(0, 0, mask.width, mask.height);
    }

    function again() {
      ink.clearRect(0, 0, mask.width, mask.height);
      for (const act of acts) {
        if (act.tool === "invert") invert();
        else if (act.tool === "clear") ink.clearRect(0, 0, mask.width, mask.height);
        else line(act, 0);
      }
    }

    function keep() {  // white on black, as the server wants it; nothing painted is no mask
      const last = acts.map((act) => act.tool).lastIndexOf("clear");
      let url = "";
      if (acts.slice(last + 1).some((act) => act.tool !== "eraser")) {
        const plain = document.createElement("canvas");
        plain.width = mask.width;
        plain.height = mask.height;
        const out = plain.getContext("2d");
        out.drawImage(mask, 0, 0);
        out.globalCompositeOperation = "source-in";
        out.fillStyle = "#fff";
        out.fillRect(0, 0, plain.width, plain.height);
        out.globalCompositeOperation = "destination-over";
        out.fillStyle = "#000";
        out.fillRect(0, 0, plain.width, plain.height);
        url = plain.toDataURL("image/png");
      }
      props.value = { ...value(), mask: url };
    }

    function choose(which) {
      tool = which;
      for (const one of tools.querySelectorAll("[data-tool]")) one.setAttribute("aria-pressed", one.dataset.tool === tool);
    }

    function undo() { acts.pop(); again(); keep(); }

    function circle(event) {
      const box = mask.getBoundingClientRect(), around = view.getBoundingClientRect();
      const across = width() * box.width / mask.width;
      brush.style.width = brush.style.height = across + "px";
      brush.style.left = event.clientX - around.left + "px";
      brush.style.top = event.clientY - around.top + "px";
      brush.dataset.tool = tool;
      brush.hidden = event.pointerType === "touch";
    }

    mask.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      view.focus({ preventScroll: true });
      mask.setPointerCapture(event.pointerId);
      stroke = { tool, width: width(), points: [at(event)] };
      acts.push(stroke);
      line(stroke, 0);
    });
    mask.addEventListener("pointermove", (event) => {
      circle(event);
      if (!stroke) return;
      const from = stroke.points.length;
      const moves = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const move of moves.length ? moves : [event]) stroke.points.push(at(move));
      line(stroke, from);
    });
    const lift = () => {
      if (!stroke) return;
      stroke = null;
      keep();
    };
    mask.addEventListener("pointerup", lift);
    mask.addEventListener("pointercancel", lift);
    mask.addEventListener("pointerleave", () => { brush.hidden = true; });

    tools.addEventListener("click", (event) => {
      const { tool: which, act } = event.target.dataset;
      if (which) choose(which);
      if (act === "undo") undo();
      if (act === "invert" || act === "clear") { acts.push({ tool: act }); again(); keep(); }
    });
    view.addEventListener("keydown", (event) => {
      const step = event.key === "[" ? -4 : event.key === "]" ? 4 : 0;
      if (step) size.value = Number(size.value) + step;
      else if (event.key.toLowerCase() === "e" && !event.ctrlKey && !event.metaKey) choose(tool === "brush" ? "eraser" : "brush");
      else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) undo();
      else return;
      event.preventDefault();
    });
  }

  if (value().image) load(value().image.url, value().image, false);
};
