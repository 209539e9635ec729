// Keys and pointer in the Gallery's grid.

export const PRESS_MS = 450; // a finger that rests so long marks

// `marks` is gallery-marks.js's; `acts` are open(picture), favour(pictures), remove(pictures).
export function galleryHands(grid, marks, acts) {
  const { root } = grid;
  let pressing = 0,
    pressed = false;

  const cellOf = (event) => event.target.closest?.(".gallery-tile");
  const chosen = (one) => (marks.has(one.id) ? marks.list() : [one]); // what a key is about

  // --- From picture to picture ---

  async function beside(step) {
    // along the reading direction, into what is not loaded yet
    const place = grid.place(grid.active);
    if (!place) return null;
    const { flows } = grid.shelf;
    let { flow, index } = place;
    index += step;
    if (index >= flow.items.length && flow.next) await grid.shelf.need(flow, index + 1);
    while (index < 0 || index >= flow.items.length) {
      flow = flows[flows.indexOf(flow) + Math.sign(step)];
      if (!flow?.total) return null;
      await grid.shelf.need(flow, step > 0 ? 1 : flow.total);
      if (!flow.items.length) return null;
      index = step > 0 ? 0 : flow.items.length - 1;
    }
    return flow.items[index];
  }

  async function above(step) {
    // the row before or after, where it is nearest
    const place = grid.place(grid.active);
    if (!place) return null;
    const at = place.index - place.block.from;
    const middle = place.block.lefts[at] + place.block.widths[at] / 2;
    const edge = await edgeOf(place, step);
    const there = edge && grid.place(edge.id);
    if (!there) return null;
    const far = (i) => Math.abs(there.block.lefts[i] + there.block.widths[i] / 2 - middle);
    const best = there.block.lefts.map((_, i) => i).reduce((a, b) => (far(b) < far(a) ? b : a));
    return there.flow.items[there.block.from + best];
  }

  function edgeOf(place, step) {
    // the first picture behind a row, or the last before it
    const index = step > 0 ? place.block.to - 1 : place.block.from;
    const from = grid.active;
    grid.active = place.flow.items[index].id;
    const found = beside(step);
    grid.active = from;
    return found;
  }

  async function page(step) {
    let one = null;
    for (let moved = 0; moved < grid.height() - 80; ) {
      const next = await above(step);
      if (!next) break;
      grid.active = (one = next).id;
      moved += grid.place(one.id).block.height;
    }
    return one;
  }

  async function end(last) {
    const { flows } = grid.shelf;
    const flow = flows[last ? flows.length - 1 : 0];
    await grid.shelf.need(flow, last ? flow.total : 1);
    return flow.items[last ? flow.items.length - 1 : 0];
  }

  const moves = {
    ArrowRight: () => beside(1),
    ArrowLeft: () => beside(-1),
    ArrowDown: () => above(1),
    ArrowUp: () => above(-1),
    PageDown: () => page(1),
    PageUp: () => page(-1),
    Home: () => end(false),
    End: () => end(true),
  };
  let moving = false;

  async function move(key, mark) {
    if (moving) return;
    moving = true;
    try {
      const from = grid.active;
      const one = await moves[key]();
      if (!one) return;
      grid.update();
      grid.focus(one.id);
      if (mark) await marks.range(from, one.id);
    } finally {
      moving = false;
    }
  }

  root.addEventListener("keydown", (event) => {
    const one = cellOf(event)?.one;
    if (!one || event.altKey) return;
    const control = event.ctrlKey || event.metaKey;
    grid.active = one.id;
    if (moves[event.key] && !control) move(event.key, event.shiftKey);
    else if (event.key === "Enter" && !control) acts.open(one);
    else if (event.key === " ") marks.toggle(one);
    else if (!press(event, chosen(one))) return;
    event.preventDefault();
  });

  // Where the focus is elsewhere (at what can be done with them, or lost), keys are about what is selected.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable], [popover]");
    if (typing || root.contains(event.target) || event.altKey || !grid.isSeen()) return;
    if (document.querySelector("dialog[open]")) return;
    const active = event.target === document.body && grid.place(grid.active);
    const some = marks.size() ? marks.list() : active ? [active.flow.items[active.index]] : [];
    if (some.length && press(event, some)) event.preventDefault();
  });

  // Does what a key means for some pictures; whether it means anything.
  function press(event, some) {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) return false;
    if (key === "f") acts.favour(some);
    else if (key === "d") acts.download(some);
    else if (key === "c") acts.contrast(some);
    else if (key === "delete" || key === "backspace") acts.remove(some);
    else return false;
    return true;
  }

  // --- The pointer ---

  root.addEventListener("click", (event) => {
    const cell = cellOf(event);
    if (!cell) return;
    if (pressed) {
      pressed = false;
      return;
    } // the end of a long press
    const from = grid.active;
    grid.active = cell.one.id;
    cell.focus({ preventScroll: true });
    if (event.shiftKey && from !== null) marks.range(from, cell.one.id);
    else if (event.ctrlKey || event.metaKey || event.target.closest(".gallery-check") || marks.size())
      marks.toggle(cell.one);
    else acts.open(cell.one);
  });

  root.addEventListener("pointerdown", (event) => {
    const cell = cellOf(event);
    clearTimeout(pressing);
    pressed = false;
    if (!cell || event.pointerType === "mouse") return;
    pressing = setTimeout(() => {
      pressed = true;
      grid.active = cell.one.id;
      marks.toggle(cell.one);
      navigator.vibrate?.(10);
    }, PRESS_MS);
  });
  for (const kind of ["pointerup", "pointercancel", "pointermove"]) {
    root.addEventListener(kind, (event) => {
      if (kind !== "pointermove" || Math.hypot(event.movementX, event.movementY) > 6) clearTimeout(pressing);
    });
  }
  root.addEventListener("contextmenu", (event) => {
    if (pressed || event.pointerType === "touch") event.preventDefault();
  });
  root.addEventListener("mousedown", (event) => {
    if (event.shiftKey && cellOf(event)) event.preventDefault();
  });

  root.addEventListener("dragstart", (event) => {
    // to another window, a folder, or a picture's place on this page
    const one = cellOf(event)?.one;
    if (!one) return;
    const url = new URL(one.url, document.baseURI).href,
      name = one.name.split("/").pop();
    event.dataTransfer.setData("text/uri-list", url);
    event.dataTransfer.setData("text/plain", url);
    event.dataTransfer.setData("DownloadURL", `image/${name.split(".").pop()}:${name}:${url}`);
    event.dataTransfer.effectAllowed = "copy";
  });
}
