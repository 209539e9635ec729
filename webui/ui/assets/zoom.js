// A picture in a place of any size: fitted, enlarged about the pointer, moved; wheel, drag, two fingers, swipe.

/**
 * `ground` holds `picture`. Gives {show(width, height), by(factor), fit, whole, end}. `swipe(step)` hears of a finger that
 * pushes a fitted picture aside; `edge` is how many pixels above and below a fitted picture leaves free.
 * @param {HTMLElement} ground
 * @param {HTMLElement} picture
 * @param {{ swipe?: (step: number) => void, edge?: number }} [how]
 */
export function zoomable(ground, picture, { swipe = (_step) => {}, edge = 0 } = {}) {
  const MOST = 16; // screen pixels of one of the picture's
  let width = 1,
    height = 1,
    scale = 1,
    x = 0,
    y = 0; // scale 1 is fitted; x and y move the middle
  let fingers = new Map(),
    moved = 0,
    /** @type {{ x: number, y: number } | null} */
    from = null;

  const fitting = () => Math.min(ground.clientWidth / width, Math.max(1, ground.clientHeight - 2 * edge) / height) || 1;

  function draw() {
    const fitted = fitting();
    const room = (/** @type {number} */ side, /** @type {number} */ all) =>
      Math.max(0, (side * fitted * scale - all) / 2);
    const [far, low] = [room(width, ground.clientWidth), room(height, ground.clientHeight)];
    x = Math.min(Math.max(x, -far), far);
    y = Math.min(Math.max(y, -low), low);
    picture.style.width = width * fitted + "px";
    picture.style.height = height * fitted + "px";
    picture.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    picture.style.imageRendering = fitted * scale >= 4 ? "pixelated" : "";
    ground.dataset.zoomed = scale > 1 ? "yes" : "";
  }

  /** @type {(wanted: number, atX?: number, atY?: number) => void} */
  function to(wanted, atX, atY) {
    // about a point of the window, else the middle
    const box = ground.getBoundingClientRect();
    const most = Math.max(1, MOST / fitting());
    const next = Math.min(Math.max(wanted, 1), most);
    const [px, py] = [
      (atX ?? box.left + box.width / 2) - box.left - box.width / 2,
      (atY ?? box.top + box.height / 2) - box.top - box.height / 2,
    ];
    x = px - ((px - x) * next) / scale;
    y = py - ((py - y) * next) / scale;
    scale = next;
    draw();
  }

  const fit = () => {
    scale = 1;
    x = y = 0;
    draw();
  };
  const whole = () => to(1 / fitting()); // a pixel of the picture is one of the screen

  ground.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      to(scale * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), event.clientX, event.clientY);
    },
    { passive: false },
  );
  ground.addEventListener("dblclick", (event) => {
    if (scale > 1) fit();
    else to(Math.max(2, 1 / fitting()), event.clientX, event.clientY);
  });

  const spread = () => {
    const [one, two] = [...fingers.values()];
    return [Math.hypot(one.x - two.x, one.y - two.y), (one.x + two.x) / 2, (one.y + two.y) / 2];
  };
  ground.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    ground.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 1) {
      from = { x: event.clientX, y: event.clientY };
      moved = 0;
    } else from = null;
  });
  ground.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (fingers.size === 2) {
      const [was, oldX, oldY] = spread();
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      const [is, midX, midY] = spread();
      x += midX - oldX;
      y += midY - oldY;
      if (was > 0) to((scale * is) / was, midX, midY);
      return;
    }
    if (scale > 1) {
      x += event.clientX - before.x;
      y += event.clientY - before.y;
      draw();
    }
    if (from) moved = event.clientX - from.x;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  const lift = (/** @type {PointerEvent} */ event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (event.type === "pointerup" && event.pointerType === "touch" && from && scale === 1 && Math.abs(moved) > 48)
      swipe(moved < 0 ? 1 : -1);
    from = null;
  };
  ground.addEventListener("pointerup", lift);
  ground.addEventListener("pointercancel", lift);
  const sized = new ResizeObserver(draw);
  sized.observe(ground);

  return {
    show(/** @type {number} */ wide, /** @type {number} */ high) {
      width = wide || 1;
      height = high || 1;
      fit();
    },
    by: (/** @type {number} */ factor) => to(scale * factor),
    fit,
    whole,
    end: () => sized.disconnect(),
  };
}
