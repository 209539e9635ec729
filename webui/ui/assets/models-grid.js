// The cards of the Models tab. Only those near the window are in the page, however many files there are.

import { ask } from "./api.js";
import { node, setText } from "./dom.js";
import { joined, t } from "./i18n.js";
import { icon } from "./icons.js";
import { bytes, chosenModel, ICONS, kindName, problemOf, shortFamily } from "./models-ask.js";

export const PAGE = 60;

// `root` holds the cards. `open(file)` shows one, `use(file)` uses it. Gives {show(query), again(), put(file), seen()}.
export function modelsGrid(root, { open, use, told, wrong }) {
  const GAP = 16,
    FOOT = 104,
    LEAST = 168;
  const cards = new Map(); // place -> element
  let query = null,
    pages = new Map(),
    total = 0,
    turn = 0,
    columns = 1,
    wide = 0,
    high = 0,
    frame = 0;

  const seen = () => root.offsetParent !== null;
  const file = (place) => pages.get(Math.floor(place / PAGE))?.[place % PAGE];

  async function load(page) {
    if (pages.has(page)) return;
    pages.set(page, null);
    const mine = turn;
    try {
      const asked = new URLSearchParams({ ...query, limit: PAGE, after: page ? page * PAGE : "" });
      const found = await ask("api/models/files?" + asked);
      if (mine !== turn) return;
      pages.set(page, found.files);
      total = found.total;
      told(found);
      draw();
    } catch (error) {
      if (mine !== turn) return;
      pages.delete(page);
      wrong(error);
    }
  }

  function measure() {
    const space = root.clientWidth;
    columns = Math.max(1, Math.floor((space + GAP) / ((space < 480 ? LEAST - 16 : LEAST + 32) + GAP)));
    wide = (space - GAP * (columns - 1)) / columns;
    high = Math.round(wide * 0.8) + FOOT;
  }

  function draw() {
    frame = 0;
    if (!seen()) return;
    measure();
    root.style.height = Math.max(0, Math.ceil(total / columns) * (high + GAP) - GAP) + "px";
    const top = root.getBoundingClientRect().top,
      step = high + GAP;
    const first = Math.max(0, Math.floor((-top - innerHeight / 2) / step)) * columns;
    const end = Math.min(total, (Math.ceil((innerHeight * 1.5 - top) / step) + 1) * columns);
    const held = document.activeElement?.closest?.(".model-card");
    for (const [place, card] of cards) {
      const gone = place < first || place >= end || card.easelFile !== file(place);
      if (gone && !(card === held && place < total && card.easelFile === file(place))) {
        card.remove();
        cards.delete(place);
      }
    }
    for (let place = first; place < end; place++) {
      const one = file(place);
      if (!one) {
        load(Math.floor(place / PAGE));
        continue;
      }
      let card = cards.get(place);
      if (!card) {
        card = made(one, place);
        cards.set(place, card);
        const later = [...root.children].find((other) => Number(other.dataset.place) > place);
        root.insertBefore(card, later || null);
      }
      card.style.width = wide + "px";
      card.style.height = high + "px";
      card.style.transform = `translate(${(place % columns) * (wide + GAP)}px, ${Math.floor(place / columns) * step}px)`;
    }
    mark();
  }

  function made(one, place) {
    const card = node("article", {
      class: "model-card",
      role: "listitem",
      "data-place": place,
      "data-id": one.id,
      "data-kind": one.kind,
    });
    card.easelFile = one;
    if (one.problem) card.dataset.wrong = "yes";
    card.setAttribute("aria-setsize", total);
    card.setAttribute("aria-posinset", place + 1);
    const front = node("button", {
      type: "button",
      class: "model-open",
      "aria-label": one.name,
      title: one.name,
      translate: "no",
    });
    const picture = node("span", { class: "model-picture", "aria-hidden": "true" });
    if (one.preview) {
      const image = node("img", { src: one.preview, alt: "", loading: "lazy", draggable: "false" });
      image.addEventListener("error", () => image.replaceWith(icon(ICONS[one.kind])));
      picture.append(image);
    } else picture.append(icon(ICONS[one.kind]));
    const foot = node("span", { class: "model-foot" });
    foot.append(node("span", { class: "model-name", translate: "no" }, one.name));
    const facts = [kindName(one.kind), shortFamily(one.family), bytes(one.size)].filter(Boolean);
    foot.append(
      one.problem
        ? node("span", { class: "model-problem" }, problemOf(one))
        : node("span", { class: "model-facts" }, joined(" · ", facts)),
    );
    front.append(picture, foot);
    front.addEventListener("click", () => open(one));
    card.append(front);
    if ((one.kind === "checkpoint" && !one.problem) || one.insert) {
      const label = one.kind === "checkpoint" ? t("Use") : t("Add to prompt");
      const button = node(
        "button",
        { type: "button", class: "model-use", "aria-label": `${label}: ${one.name}` },
        label,
      );
      button.addEventListener("click", () => use(one));
      card.append(button);
    }
    return card;
  }

  function mark() {
    // the checkpoint that is chosen in the page's menu
    const chosen = chosenModel();
    for (const card of cards.values()) {
      const now = card.easelFile.kind === "checkpoint" && card.easelFile.name === chosen;
      if (now !== (card.dataset.chosen === "yes")) {
        card.dataset.chosen = now ? "yes" : "";
        const button = card.querySelector(".model-use");
        if (button) setText(button, now ? t("In use") : t("Use"));
      }
    }
  }

  const later = () => {
    if (!frame) frame = requestAnimationFrame(draw);
  };
  addEventListener(
    "scroll",
    () => {
      if (seen()) later();
    },
    { passive: true },
  );
  new ResizeObserver(later).observe(root);

  function again() {
    turn += 1;
    pages = new Map();
    return load(0);
  }

  function put(one) {
    // a file that is another now, without waiting for the list
    for (const page of pages.values()) {
      const place = page ? page.findIndex((other) => other.id === one.id) : -1;
      if (place >= 0) page[place] = one;
    }
    later();
  }

  return {
    put,
    show(wanted) {
      query = wanted;
      total = 0;
      return again();
    },
    again,
    seen,
    mark,
    draw: later,
  };
}
