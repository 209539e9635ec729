// Mouse, pen and fingers over the view: one of them paints, two fingers, the middle button or the space bar move the picture.

/** @typedef {import("./canvas-gestures.js").Point} Point */
/**
 * @typedef {{ down(point: Point, event: PointerEvent): void, move(points: Point[]): void, up(): void, cancel(): void,
 *   hover(event: PointerEvent): void, leave(): void, pans(): boolean }} Hand
 */

/**
 * `hand` is told of a stroke, in the sheet's pixels: down(point, event), move(points), up(), cancel(); hover(event) and
 * leave() are for the circle; `pans()` says that the pan tool is chosen. Points are {x, y, pressure 0..1}.
 * @param {import("./canvas-view.js").View} view
 * @param {Hand} hand
 */
export function listenToPointers(view, hand) {
  const { canvas } = view,
    window_ = canvas.parentElement;
  /** @type {Map<number, { x: number, y: number }>} */
  const fingers = new Map();
  let mode = "",
    /** @type {{ id: number, x: number, y: number } | null} */
    holder = null,
    space = false,
    /** @type {{ x: number, y: number, far: number } | null} */
    pinch = null,
    pen = false;

  const point = (/** @type {PointerEvent} */ event) => ({
    ...view.at(event.clientX, event.clientY),
    pressure: event.pointerType === "pen" ? event.pressure || 0.5 : 1,
  });
  const between = () => {
    const [a, b] = [...fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, far: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
  };
  /** @type {(x: number, y: number) => [number, number]} */
  const inside = (x, y) => {
    const box = canvas.getBoundingClientRect();
    return [x - box.left, y - box.top];
  };

  /** @param {PointerEvent} event */
  function down(event) {
    if (event.pointerType === "touch" && pen) return; // a palm beside the pen
    if (event.pointerType === "pen" && fingers.size) {
      // a palm that lay there first
      if (mode === "paint") hand.cancel();
      fingers.clear();
      mode = "";
      holder = null;
    }
    event.preventDefault();
    window_.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") {
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (fingers.size === 2) {
        if (mode === "paint") hand.cancel();
        mode = "pinch";
        pinch = between();
      }
      if (fingers.size > 1) return;
    }
    if (mode) return;
    const pans = event.button === 1 || space || hand.pans();
    if (!pans && event.button !== 0 && event.button !== 5) return; // 5: the pen's eraser
    pen = event.pointerType === "pen";
    mode = pans ? "pan" : "paint";
    holder = { id: event.pointerId, x: event.clientX, y: event.clientY };
    if (mode === "paint") hand.down(point(event), event);
  }

  /** @param {PointerEvent} event */
  function move(event) {
    hand.hover(event);
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (mode === "pinch" && fingers.size === 2) {
      const now = between(),
        [x, y] = inside(now.x, now.y);
      view.pan(now.x - pinch.x, now.y - pinch.y);
      view.zoom(now.far / pinch.far, x, y);
      pinch = now;
    } else if (holder && event.pointerId === holder.id && mode === "pan") {
      view.pan(event.clientX - holder.x, event.clientY - holder.y);
      Object.assign(holder, { x: event.clientX, y: event.clientY });
    } else if (holder && event.pointerId === holder.id && mode === "paint") {
      const all = event.getCoalescedEvents?.() ?? [];
      hand.move((all.length ? all : [event]).map(point));
    }
  }

  /** @param {PointerEvent} event */
  function lift(event) {
    fingers.delete(event.pointerId);
    if (holder && event.pointerId === holder.id) {
      if (mode === "paint") {
        if (event.type === "pointercancel") hand.cancel();
        else hand.up();
      }
      holder = null;
      pen = false;
    }
    if (!holder && !fingers.size) mode = ""; // a finger that is left of two paints nothing
  }

  canvas.addEventListener("pointerdown", down);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => hand.leave());
  canvas.addEventListener("auxclick", (event) => event.preventDefault());
  canvas.addEventListener("contextmenu", (event) => {
    if (mode) event.preventDefault();
  });

  // Whoever scrolls the page past the picture goes on scrolling; and there is nothing to zoom out of when all is seen.
  let scrolled = -Infinity;
  document.addEventListener(
    "scroll",
    () => {
      scrolled = performance.now();
    },
    { capture: true, passive: true },
  );
  canvas.addEventListener(
    "wheel",
    (event) => {
      const free =
        !event.ctrlKey &&
        !window_.closest("dialog") &&
        (performance.now() - scrolled < 300 || (view.fitted && event.deltaY > 0));
      if (free) return;
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
      view.zoom(
        Math.exp(-Math.max(-240, Math.min(240, pixels)) / (event.ctrlKey ? 120 : 480)),
        ...inside(event.clientX, event.clientY),
      );
    },
    { passive: false },
  );

  return {
    space(/** @type {boolean} */ held) {
      space = held;
      canvas.classList.toggle("canvas-grab", held);
    },
  };
}
