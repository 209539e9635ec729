// The Gallery tab (webui/ui/gallery.py): puts its parts together and keeps them in step with the server. The parts are in
// gallery-*.js: search (what is asked for), shelf (what is loaded), rows (where it stands), tile and grid (what is
// drawn), marks (what is selected), acts (what is done), hands (keys and pointer).

import { opensPictures } from "./address.js";
import { ask } from "./api.js";
import { node, setText } from "./dom.js";
import { galleryActs } from "./gallery-acts.js";
import { count } from "./gallery-ask.js";
import { createGrid } from "./gallery-grid.js";
import { galleryHands } from "./gallery-hands.js";
import { createMarks } from "./gallery-marks.js";
import { gallerySearch } from "./gallery-search.js";
import { createShelf } from "./gallery-shelf.js";
import { t } from "./i18n.js";
import { icon, iconButton } from "./icons.js";
import { toast } from "./overlays.js";
import { pictureAt } from "./picture-actions.js";

export const GALLERY_MS = 3000;

// `about`: tasks {name: label}, takes [[name, label]...] of those that take a picture.
export function gallery(element, about) {
  const $ = (selector) => element.querySelector(selector);
  const bar = $(".gallery-bar"),
    root = $(".gallery-grid"),
    note = $(".gallery-note"),
    number = $(".gallery-count");
  const spoken = $("[aria-live]"),
    fresh = $(".gallery-fresh"),
    thrown = $(".gallery-thrown"),
    picked = $(".gallery-picks");
  let shelf = null,
    opened = Promise.resolve(),
    facets = null,
    version = -1,
    news = 0,
    counted = "",
    noted = "";
  const removed = new Map(); // pictures in the trash that may come back

  const grid = createGrid(root, (id) => marks.has(id));
  const tell = (sentence) => toast(sentence, null, 5);
  const marks = createMarks(
    grid,
    () => {
      acts.drawBar(picked);
      root.dataset.picking = marks.size() ? "yes" : "";
      say(marks.words());
      grid.draw();
    },
    tell,
  );
  const acts = galleryActs(grid, marks, about.takes);
  const search = gallerySearch(bar, about.tasks, find);
  galleryHands(grid, marks, acts);
  grid.head = () => bar.offsetHeight;
  grid.foot = () => (picked.hidden ? 0 : picked.offsetHeight + 16);

  function say(text) {
    if (text && spoken.textContent !== text) setText(spoken, text);
  }

  function askFacets() {
    facets = ask("api/pictures/facets");
    facets
      .then((found) => search.filter(found))
      .catch(() => {
        /* the search says it */
      });
    return facets;
  }

  function find(wanted) {
    shelf?.close();
    marks.clear();
    news = 0;
    const now = (shelf = createShelf(wanted, () => {
      if (shelf === now) changed();
    }));
    root.setAttribute("aria-busy", "true");
    opened = now.open(facets || askFacets()).then(() => {
      if (shelf !== now) return;
      root.removeAttribute("aria-busy");
      root.replaceChildren();
      grid.show(now);
      changed();
    });
  }

  function changed() {
    marks.refresh();
    if (grid.shelf === shelf) grid.update();
    words();
  }

  function words() {
    const { ready, total, problem } = shelf;
    const said = ready ? count(total) : "";
    setText(number, said);
    if (ready && said !== counted) say((counted = said));
    const trash = search.search().trash;
    thrown.hidden = !(trash && ready && total);
    fresh.hidden = !news;
    setText(fresh.querySelector("span"), t("{number} new", { number: news }));
    if (ready && total) {
      note.hidden = true;
      return;
    }
    if (!ready && !problem) return;
    const text = search.words();
    const sentence =
      problem && !ready
        ? problem
        : text
          ? t("Nothing found for “{words}”.", { words: text })
          : trash
            ? t("The trash is empty.")
            : search.isNarrow()
              ? t("Nothing found with these filters.")
              : t("Pictures you make appear here.");
    note.hidden = false;
    if (noted === sentence) return;
    noted = sentence;
    note.replaceChildren(node("p", {}, sentence));
    if (problem && !ready)
      note.append(
        iconButton("again", t("Try again"), () => {
          facets = null;
          search.again();
        }),
      );
    else if (search.isNarrow())
      note.append(
        iconButton("close", trash && !text ? t("Back to all pictures") : t("Clear all"), () => search.clear()),
      );
    say(sentence);
  }

  // --- In step with the server ---

  let asking = false;
  async function check() {
    if (asking || !element.isConnected || !grid.isSeen() || document.hidden) return;
    asking = true;
    try {
      const now = (await ask("api/pictures/version")).version;
      const before = version;
      version = now;
      if (before !== -1 && before !== now) await resync();
    } catch {
      /* the next time, then */
    } finally {
      asking = false;
    }
  }

  async function resync() {
    const now = shelf;
    if (!now) return;
    askFacets();
    if (!now.ready) {
      search.again();
      return;
    }
    const below = !grid.isTop();
    const more = await now.resync(facets, grid.seen, below);
    if (now !== shelf) return;
    news = below ? news + more : 0;
    words();
  }

  document.addEventListener("easel-pictures", ({ detail: { kind, ids, on } }) => {
    if (!shelf) return;
    const trash = search.search().trash;
    if (kind === "favourite") {
      for (const id of ids) if (shelf.byId.has(id)) shelf.byId.get(id).favourite = on;
      acts.drawBar(picked);
      grid.draw();
    } else if (kind === "emptied") {
      removed.clear();
      marks.clear();
      facets = null;
      search.again();
    } else {
      // what leaves this view, and what comes back to it
      const leaves = (kind === "trashed") !== trash;
      if (leaves) leave(ids);
      else shelf.insert(ids.map((id) => removed.get(id)).filter(Boolean));
    }
  });

  function leave(ids) {
    const held = root.contains(document.activeElement) || picked.contains(document.activeElement);
    const place = grid.place(grid.active);
    let next = null;
    if (place && ids.includes(grid.active)) {
      // the focus goes to what moves up into the place
      const gone = new Set(ids),
        { items } = place.flow;
      next =
        items.slice(place.index).find((one) => !gone.has(one.id)) ||
        items
          .slice(0, place.index)
          .reverse()
          .find((one) => !gone.has(one.id));
      grid.active = next ? next.id : null;
    }
    for (const id of ids) if (shelf.byId.has(id)) removed.set(id, shelf.byId.get(id));
    shelf.remove(ids);
    marks.drop(ids);
    if (held && next) grid.focus(next.id);
  }

  opensPictures("gallery", async (id) => {
    await opened;
    const one = shelf.byId.get(id) ?? (await pictureAt(id));
    if (one) acts.open(one);
  });

  // --- Keys and buttons of the tab ---

  document.addEventListener("keydown", (event) => {
    if (!element.isConnected || !grid.isSeen() || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    const control = event.ctrlKey || event.metaKey;
    if (event.key === "/" && !typing && !control) search.focus();
    else if (event.key.toLowerCase() === "a" && control && !typing) marks.all();
    else if (event.key === "Escape" && marks.size() && !typing) marks.clear();
    else return;
    event.preventDefault();
  });
  fresh.addEventListener("click", () => window.scrollTo({ top: 0, behavior: "instant" }));
  window.addEventListener(
    "scroll",
    () => {
      if (!grid.isSeen()) return;
      bar.dataset.below = grid.isTop() ? "" : "yes";
      if (!grid.isTop() || !(news || shelf?.breaks.size)) return;
      news = 0;
      shelf.join();
      words();
    },
    { passive: true },
  );
  thrown.append(iconButton("trash", t("Empty trash"), acts.emptyTrash));

  fresh.prepend(icon("up"));
  new IntersectionObserver(([entry]) => {
    if (entry.isIntersecting) check();
  }).observe(element);
  document.addEventListener("visibilitychange", check);
  setInterval(check, GALLERY_MS);
  askFacets();
  search.start();
  check();
}
