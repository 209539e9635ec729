// The Gallery's grid: days as headings, pictures in rows. Elements are there only for what is near the window; the page
// scrolls, and has the height of everything that was found. What changes above the window moves nothing in it.

import { node } from "./dom.js";
import { dayWords } from "./gallery-ask.js";
import { blockAt, rows } from "./gallery-rows.js";
import { retile, tile } from "./gallery-tile.js";
import { tabOf } from "./gradio.js";

// `selected(id)` says what is marked. The grid's keys and pointer are in gallery-hands.js.
export function createGrid(root, selected) {
  const grid = { root, shelf: null, active: null };
  const cells = new Map(),
    lines = new Map(),
    waits = new Map();
  let width = 0,
    size = { height: 0, gap: 0, heading: 0 },
    frame = 0,
    lastTop = 0,
    calm = 0;
  let nearby = [],
    waited = false; // cells around the window; whether one in it is still to come
  let here = null,
    scrolled = 0,
    away = false; // where the window is, kept while the tab is hidden

  const seen = () => root.offsetParent !== null;
  const offset = () => root.getBoundingClientRect().top + window.scrollY;

  function measured() {
    width = root.clientWidth;
    const high = width < 480 ? 116 : width < 900 ? 160 : width < 1500 ? 200 : 232;
    size = { height: high, gap: width < 900 ? 4 : 8, heading: 48 };
  }

  // --- Heights ---

  function guess(flow) {
    // the height of what is not loaded
    const left = flow.total - flow.items.length;
    if (left <= 0) return 0;
    if (flow.items.length) return Math.ceil((flow.rows.height / flow.items.length) * left);
    const across = Math.max(1, Math.floor((width + size.gap) / (size.height * 1.1 + size.gap)));
    const lines = (number) => Math.ceil(number / across) * (size.height + size.gap);
    if (!flow.days.length) return lines(left);
    return flow.days.reduce((all, [, number]) => all + size.heading + lines(number), 0);
  }

  function layout() {
    let y = 0;
    for (const flow of grid.shelf.flows) {
      if (!flow.rows) {
        flow.rows = rows(flow.items, width, size, grid.shelf.breaks);
        flow.tail = guess(flow);
      }
      flow.y = y;
      y += flow.rows.height + flow.tail;
    }
    root.style.height = y + "px";
  }

  // The row of a picture: {flow, index: of the picture, block, y: of the row in the grid}, null where it is not loaded.
  grid.place = (id) => {
    const one = grid.shelf?.byId.get(id);
    const flow = one?.flow,
      index = flow ? flow.items.indexOf(one) : -1;
    if (index < 0 || !flow.rows) return null;
    const block = flow.rows.blocks.find((each) => each.day === undefined && index >= each.from && index < each.to);
    return block ? { flow, index, block, y: flow.y + block.y } : null;
  };

  // --- Places that stay ---

  function anchor() {
    // what is at the window's upper edge, and where exactly
    const top = window.scrollY - offset() + grid.head();
    if (window.scrollY <= offset() - grid.head() || !grid.shelf) return null;
    for (const flow of grid.shelf.flows) {
      if (!flow.rows || flow.y === undefined || flow.y + flow.rows.height + flow.tail <= top) continue;
      const block = flow.rows.blocks
        .slice(blockAt(flow.rows.blocks, top - flow.y))
        .find((one) => one.day === undefined);
      if (block && flow.items[block.from])
        return { id: flow.items[block.from].id, within: top - flow.y - block.y, flow, part: top - flow.y };
      return { id: null, flow, within: 0, part: top - flow.y };
    }
    return null;
  }

  function stand() {
    // the anchor of what was drawn last, whose rows may be forgotten by now
    if (!here || grid.isTop()) return null;
    const moved = window.scrollY - scrolled;
    return { ...here, within: here.within + moved, part: here.part + moved };
  }

  function hold(where) {
    if (!where) return;
    const place = where.id === null ? null : grid.place(where.id);
    const flow = grid.shelf.flows.includes(where.flow) ? where.flow : null;
    if (!place && !flow) return;
    const top = place ? place.y + where.within : flow.y + Math.min(where.part, flow.rows.height + flow.tail);
    const from = window.scrollY,
      to = offset() + top - grid.head();
    if (Math.abs(to - from) > 0.5) window.scrollTo({ top: to, behavior: "instant" });
  }

  // --- Drawing ---

  function heading(flow, block, line) {
    line.className = "gallery-day";
    const words = dayWords(block.day);
    if (line.textContent !== String(words)) line.replaceChildren(node("span", { role: "rowheader" }, words));
  }

  const isThere = (cell) => Boolean(cell.image.dataset.there || cell.dataset.broken);

  function row(flow, block, line, fetched, inside) {
    const some = flow.items.slice(block.from, block.to);
    const parts = some.map((one, i) => {
      let cell = cells.get(one.id);
      if (!cell) cells.set(one.id, (cell = tile(one)));
      cell.style.left = block.lefts[i] + "px";
      cell.style.width = block.widths[i] + "px";
      cell.drawn = frame;
      retile(cell, one, selected(one.id), fetched && inside);
      if (!inside) nearby.push(cell);
      else if (!isThere(cell)) waited = true;
      return cell;
    });
    if (line.children.length !== parts.length || parts.some((part, i) => line.children[i] !== part))
      line.replaceChildren(...parts);
  }

  function draw() {
    frame += 1;
    if (!grid.shelf || !seen() || away || !width) return;
    if (grid.shelf.flows.some((flow) => !flow.rows)) {
      grid.update();
      return;
    } // changed, and its answer still to come
    const top = window.scrollY - offset(),
      high = window.innerHeight;
    const leap = Math.abs(top - lastTop) > 1.5 * high;
    lastTop = top;
    if (leap) {
      // somebody drags the scrollbar: fetch when it rests
      clearTimeout(calm);
      calm = setTimeout(() => {
        calm = 0;
        grid.draw();
      }, 120);
    }
    const fetched = !calm;
    const held = root.contains(document.activeElement);
    nearby = [];
    waited = false;
    const wanted = [],
      from = top - high,
      to = top + 2 * high;
    const active = grid.active === null ? null : grid.place(grid.active);

    const add = (flow, block) => {
      const key = block.day === undefined ? "row " + flow.items[block.from].id : "day " + block.day + flow.from;
      let line = lines.get(key);
      if (!line) lines.set(key, (line = node("div", { role: "row", class: "gallery-row" })));
      line.drawn = frame;
      line.style.transform = `translateY(${flow.y + block.y}px)`;
      line.style.height = block.height + "px";
      const y = flow.y + block.y,
        inside = y + block.height > top && y < top + high;
      if (block.day === undefined) row(flow, block, line, fetched, inside);
      else heading(flow, block, line);
      wanted.push(line);
    };
    for (const flow of grid.shelf.flows) {
      const end = flow.y + flow.rows.height;
      const pinned = held && active?.flow === flow ? active.block : null;
      const blocks = flow.rows.blocks;
      if (pinned && flow.y + pinned.y + pinned.height <= from) add(flow, pinned);
      if (end + flow.tail > from && flow.y < to) {
        for (let i = blockAt(blocks, from - flow.y); i < blocks.length && flow.y + blocks[i].y < to; i++)
          add(flow, blocks[i]);
        if (flow.tail && end < to) {
          wanted.push(tail(flow, end));
          if (fetched) load(flow, to - end);
        }
      }
      if (pinned && flow.y + pinned.y >= to) add(flow, pinned);
    }
    put(wanted);
    if (fetched && !waited) fetchNearby();
    rove(top);
    here = anchor();
    scrolled = window.scrollY;
    if (held && active && document.activeElement !== cells.get(grid.active))
      cells.get(grid.active)?.focus({ preventScroll: true });
  }

  function fetchNearby() {
    // what is above and below the window comes when all that is in it is there
    for (const cell of nearby) retile(cell, cell.one, selected(cell.one.id), true);
    nearby = [];
  }

  function tail(flow, end) {
    // in place of what is not loaded yet
    const key = "tail " + grid.shelf.flows.indexOf(flow);
    let line = lines.get(key);
    if (!line) {
      lines.set(key, (line = node("div", { class: "gallery-tail", role: "presentation", "aria-hidden": "true" })));
    }
    line.drawn = frame;
    line.style.transform = `translateY(${end}px)`;
    line.style.height = flow.tail + "px";
    line.style.setProperty("--high", size.height + "px");
    line.style.setProperty("--gap", size.gap + "px");
    return line;
  }

  function load(flow, reach) {
    // as far as the window reaches into what is not loaded
    if (!grid.shelf.mayLoad(flow)) return;
    const part = Math.min(1, Math.max(0, reach) / flow.tail),
      there = flow.items.length;
    const wanted = there + Math.max(1, Math.ceil((flow.total - there) * part));
    grid.shelf.need(flow, wanted, () => flow.items.length === there); // a page; then the window may be elsewhere
  }

  function put(wanted) {
    for (const [key, line] of lines)
      if (line.drawn !== frame) {
        line.remove();
        lines.delete(key);
      }
    for (const [id, cell] of cells) {
      if (cell.drawn === frame) continue;
      if (!cell.image.complete) cell.image.removeAttribute("src"); // nobody waits for it
      cell.remove();
      cells.delete(id);
    }
    let next = root.firstChild;
    for (const line of wanted) {
      if (line === next) next = next.nextSibling;
      else root.insertBefore(line, next);
    }
  }

  function rove(top) {
    // one cell is reached by Tab: the active one, else the first that can be seen
    const now = cells.get(grid.active);
    let chosen = now;
    if (!chosen) {
      for (const line of root.children) {
        if (!line.querySelector(".gallery-tile")) continue;
        chosen = line.firstElementChild;
        if (new DOMMatrix(line.style.transform).f + line.offsetHeight > top) break;
      }
    }
    for (const cell of cells.values()) {
      const index = cell === chosen ? 0 : -1;
      if (cell.tabIndex !== index) cell.tabIndex = index;
    }
  }

  // --- What others call ---

  grid.draw = () => {
    if (waits.has("draw")) return;
    waits.set(
      "draw",
      requestAnimationFrame(() => {
        waits.delete("draw");
        draw();
      }),
    );
  };

  // Lays out anew what has changed, and draws. What is in the window stays where it is.
  grid.update = () => {
    if (!grid.shelf?.flows.length || !seen() || away) return;
    const where = stand();
    if (!width) measured();
    layout();
    hold(where);
    draw();
  };

  grid.show = (shelf) => {
    grid.shelf = shelf;
    grid.active = here = null;
    shelf.isNeeded = (flow) =>
      flow === shelf.flows[0] || flow === shelf.byId.get(grid.active)?.flow || !flow.rows || grid.seen(flow);
    if (seen() && !grid.isTop()) window.scrollTo({ top: offset() - grid.head(), behavior: "instant" });
  };

  grid.seen = (flow) =>
    flow.rows &&
    flow.y !== undefined &&
    flow.y + flow.rows.height + flow.tail > window.scrollY - offset() - window.innerHeight &&
    flow.y < window.scrollY - offset() + 2 * window.innerHeight;

  grid.isTop = () => window.scrollY <= offset() - grid.head();
  grid.isSeen = seen;
  grid.cell = (id) => cells.get(id);
  grid.head = () => 0; // how much of the window's top something else covers
  grid.foot = () => 0;
  grid.across = () => ({ width, ...size });
  grid.height = () => window.innerHeight - grid.head() - grid.foot();

  // Brings a picture into the window, and the focus to it.
  grid.focus = (id) => {
    const place = grid.place(id);
    if (!place) return;
    grid.active = id;
    const top = offset() + place.y,
      bottom = top + place.block.height,
      room = 8;
    if (top < window.scrollY + grid.head() + room)
      window.scrollTo({ top: top - grid.head() - room - size.heading, behavior: "instant" });
    else if (bottom > window.scrollY + window.innerHeight - grid.foot() - room) {
      window.scrollTo({ top: bottom - window.innerHeight + grid.foot() + room, behavior: "instant" });
    }
    draw();
    cells.get(id)?.focus({ preventScroll: true });
  };

  function back() {
    // the tab is shown again, or for the first time
    away = false;
    if (!grid.shelf?.flows.length) return;
    layout();
    window.scrollTo({ top: scrolled, behavior: "instant" });
    hold(here);
    draw();
  }

  window.addEventListener(
    "scroll",
    () => {
      if (seen() && !away) grid.draw();
    },
    { passive: true },
  );
  for (const kind of ["load", "error"])
    root.addEventListener(
      kind,
      () => {
        if (nearby.length && !away) grid.draw();
      },
      true,
    );
  window.addEventListener("resize", () => {
    if (seen()) grid.draw();
  });
  function sized() {
    if (!root.clientWidth) {
      away = true;
      return;
    }
    const same = root.clientWidth === width;
    if (same && !away) return;
    const where = away ? here : stand();
    measured();
    for (const flow of grid.shelf?.flows || []) if (!same) flow.rows = null;
    if (away) {
      back();
      return;
    }
    if (!grid.shelf?.flows.length) return;
    layout();
    hold(where);
    draw();
  }
  new ResizeObserver(sized).observe(root);
  // Of a tab that is left and opened again within a frame no size has changed, but the page's place is lost.
  const { panel } = tabOf(root);
  if (panel) new MutationObserver(sized).observe(panel, { attributeFilter: ["style", "class", "hidden"] });
  return grid;
}
