// The handles and number fields by which the frame is drawn beyond the picture.

import * as frames from "./canvas-frame.js";

export function extendFrame(body, painter, resized) {
  const { sheet, view } = painter;
  const row = body.querySelector(".canvas-extend"),
    outline = body.querySelector(".canvas-outline");
  const fields = [...row.querySelectorAll("[data-side]")];
  const LETTERS = { n: "top", s: "bottom", w: "left", e: "right" };
  let drag = null;

  function place(frame = sheet.frame) {
    if (row.hidden || !sheet.picture) {
      outline.hidden = true;
      return;
    }
    const size = frames.sizeOf(sheet.picture, frame),
      { scale } = view;
    outline.hidden = false;
    outline.style.left = view.x - (frame.left - sheet.frame.left) * scale + "px";
    outline.style.top = view.y - (frame.top - sheet.frame.top) * scale + "px";
    outline.style.width = size.width * scale + "px";
    outline.style.height = size.height * scale + "px";
    for (const field of fields) if (field !== document.activeElement || drag) field.value = frame[field.dataset.side];
  }

  function apply(wanted) {
    const before = sheet.frame;
    painter.reframe(wanted);
    place();
    for (const field of fields) field.value = sheet.frame[field.dataset.side];
    if (!frames.same(before, sheet.frame)) resized();
  }

  function open(shown) {
    row.hidden = !shown;
    view.margin = shown ? 0.2 : 0; // room to draw the frame into
    view.fit();
    place();
  }

  outline.addEventListener("pointerdown", (event) => {
    const { handle } = event.target.dataset;
    if (!handle || event.button !== 0) return;
    event.preventDefault();
    outline.setPointerCapture(event.pointerId);
    drag = { handle, x: event.clientX, y: event.clientY, wanted: null };
  });
  outline.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const dx = (event.clientX - drag.x) / view.scale,
      dy = (event.clientY - drag.y) / view.scale;
    const by = { top: -dy, bottom: dy, left: -dx, right: dx },
      wanted = {};
    for (const letter of drag.handle) wanted[LETTERS[letter]] = sheet.frame[LETTERS[letter]] + by[LETTERS[letter]];
    drag.wanted = frames.allowed(wanted, sheet.frame, sheet.picture).frame;
    place(drag.wanted);
  });
  const drop = (event) => {
    const wanted = event.type === "pointerup" && drag?.wanted;
    drag = null;
    if (wanted) apply(wanted);
    else place();
  };
  outline.addEventListener("pointerup", drop);
  outline.addEventListener("pointercancel", drop);
  for (const field of fields) field.addEventListener("change", () => apply({ [field.dataset.side]: field.value }));
  row.querySelector("[data-fill]").addEventListener("change", (event) => {
    painter.refill(event.target.value);
  });

  return { open, place };
}
