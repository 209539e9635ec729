// One picture over everything: full screen, keys, zoom. Knows nothing of stage or gallery.
//
// openViewer(items, index, {actions, shown}): items are `{id, url, thumbnail, width, height, name, prompt, parameters}`;
// without `parameters` they are asked of the gallery by `id`. Actions are `{label, act(item)}` and may have an `icon`, a
// `key`, `for(item, before)` (whether it is offered), `lacking` (what its key says where it is not), `pressed(item)`, and
// `closes`. One whose `act(item, before)` gives "gone" takes the picture out. `before` is the one that was made before, if
// there is one. `shown(item)` hears which one is on show. Gives `{close, drop(item)}`.

import { ask } from "./api.js";
import { node, setText } from "./dom.js";
import { t } from "./i18n.js";
import { iconButton } from "./icons.js";
import { copyText, openDialog, toast } from "./overlays.js";
import { briefly } from "./picture-actions.js";
import { zoomable } from "./zoom.js";

export function openViewer(items, index = 0, { actions = [], shown = (_item) => {} } = {}) {
  items = [...items];
  const KEYS = { Favourite: "f", Delete: "Delete", Download: "d" }; // of actions that name none
  const dialog = node("dialog", { class: "viewer", tabindex: "-1", "aria-label": t("Picture, full screen") });
  const ground = node("div", { class: "viewer-ground" });
  const picture = node("img", { class: "viewer-picture", draggable: "false", alt: "" });
  const head = node("div", { class: "viewer-head" });
  const count = node("span", { class: "viewer-count", "aria-live": "polite", translate: "no" });
  const name = node("span", { class: "viewer-name", translate: "no" });
  const info = node("aside", { class: "viewer-info", "aria-label": t("Settings of the picture"), hidden: "" });
  const foot = node("div", { class: "viewer-foot", role: "group", "aria-label": t("What to do with the picture") });
  const plain = { plain: true };
  const zoom = zoomable(ground, picture, { swipe: (step) => go(index + step), edge: 56 });

  const about = iconButton("info", t("Settings (I)"), () => tell(info.hidden), plain);
  head.append(
    count,
    name,
    about,
    iconButton("smaller", t("Smaller (-)"), () => zoom.by(1 / 1.5), plain),
    iconButton("full", t("Fit (0)"), () => zoom.fit(), plain),
    iconButton("larger", t("Larger (+)"), () => zoom.by(1.5), plain),
    iconButton("close", t("Close (Esc)"), () => dialog.close(), plain),
  );
  const back = iconButton("previous", t("Previous picture"), () => go(index - 1), plain);
  const on = iconButton("next", t("Next picture"), () => go(index + 1), plain);
  back.classList.add("viewer-previous");
  on.classList.add("viewer-next");
  ground.append(picture);
  dialog.append(ground, back, on, head, info, foot);

  const now = () => items[index];
  const before = () => items[index + 1];
  const offers = (action) => !action.for || action.for(now(), before());
  const keyOf = (action) => action.key || KEYS[action.label] || "";

  async function run(action) {
    const item = now();
    if (action.closes) dialog.close();
    const result = await action.act(item, before());
    if (result === "gone") drop(item);
    else if (dialog.open && now() === item) offer();
  }

  function offer() {
    // what can be done with this one
    const held = [...foot.children].indexOf(document.activeElement);
    foot.replaceChildren(
      ...actions.filter(offers).map((action) => {
        const key = keyOf(action);
        const shown = key?.length === 1 ? key.toUpperCase() : t("Del");
        const title = key ? t("{label} ({key})", { label: action.label, key: shown }) : action.label;
        const button = iconButton(action.icon || "arrow", action.label, () => run(action), { title });
        const pressed = action.pressed?.(now());
        if (pressed !== null && pressed !== undefined) button.setAttribute("aria-pressed", Boolean(pressed));
        return button;
      }),
    );
    if (held >= 0) (foot.children[held] || foot.lastElementChild)?.focus();
    hint();
  }

  function hint() {
    // there is more at a side than there is room for
    foot.dataset.before = foot.scrollLeft > 1 ? "yes" : "";
    foot.dataset.after = foot.scrollLeft + foot.clientWidth < foot.scrollWidth - 1 ? "yes" : "";
  }
  foot.addEventListener("scroll", hint, { passive: true });

  async function tell(open) {
    info.hidden = !open;
    dialog.dataset.told = open ? "yes" : "";
    about.setAttribute("aria-expanded", open);
    if (!open) return;
    const item = now();
    if (item.parameters === undefined && item.id) {
      info.replaceChildren(node("p", {}, t("Loading…")));
      const found = await ask(`api/pictures/${item.id}`).catch(() => ({}));
      item.parameters = found.parameters || "";
      if (item !== now()) return;
    }
    const size = node("p", { translate: "no" }, `${item.width} × ${item.height}`);
    if (!item.parameters) {
      info.replaceChildren(size, node("p", {}, t("This picture says nothing of its settings.")));
      return;
    }
    const copy = iconButton("copy", t("Copy settings"), async () => {
      const done = await copyText(item.parameters);
      toast(done ? t("Settings copied.") : t("This browser does not let us copy; select the text."), null, 4);
    });
    info.replaceChildren(size, node("pre", { translate: "no", tabindex: "0" }, item.parameters), copy);
  }

  function go(to) {
    index = Math.min(Math.max(to, 0), items.length - 1);
    const item = now();
    zoom.show(item.width, item.height);
    picture.style.backgroundImage = item.thumbnail ? `url("${encodeURI(decodeURI(item.thumbnail))}")` : "";
    picture.src = item.look || item.url;
    setText(
      picture,
      item.prompt ? t("Picture of: {prompt}", { prompt: briefly(item.prompt) }) : t("The picture"),
      "alt",
    );
    setText(count, `${index + 1} / ${items.length}`);
    setText(name, item.name || "");
    back.disabled = index === 0;
    on.disabled = index === items.length - 1;
    offer();
    tell(!info.hidden);
    for (const near of [items[index + 1], items[index - 1]]) if (near) new Image().src = near.look || near.url; // is there when asked for
    way.picture(item.id);
    shown(item);
  }

  function drop(item) {
    const at = items.indexOf(item);
    if (at < 0) return;
    items.splice(at, 1);
    if (!items.length) {
      dialog.close();
      return;
    }
    go(at < index ? index - 1 : index);
  }

  function press(event) {
    if (event.target.closest("[popover]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: items.length - 1 };
    const zooms = {
      "+": () => zoom.by(1.5),
      "=": () => zoom.by(1.5),
      "-": () => zoom.by(1 / 1.5),
      0: zoom.fit,
      1: zoom.whole,
      i: () => tell(info.hidden),
    };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const meant = actions.filter((one) => keyOf(one) === key);
    const action = meant.find(offers);
    const lacking = meant.find((one) => one.lacking)?.lacking;
    if (key in moves) go(moves[key]);
    else if (key in zooms) zooms[key]();
    else if (action) run(action);
    else if (lacking) toast(lacking, null, 5);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  const lost = (event) => {
    // the button that had the focus is gone, or cannot be pressed any more
    if (event.target === document.body && [...document.querySelectorAll("dialog[open]")].pop() === dialog) press(event);
  };
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("dialog") === dialog) press(event); // not for what lies over it
  });
  document.addEventListener("keydown", lost);
  const changed = (event) => {
    const { kind, ids, on: marked } = event.detail;
    for (const item of items.filter((one) => one.id && ids.includes(one.id))) {
      if (kind === "trashed") drop(item);
      else if (kind === "favourite") {
        item.favourite = marked;
        if (item === now()) offer();
      }
    }
  };
  document.addEventListener("easel-pictures", changed);
  const way = openDialog(dialog, () => {
    document.removeEventListener("easel-pictures", changed);
    document.removeEventListener("keydown", lost);
    zoom.end();
  });
  dialog.focus(); // no button is marked before there is a key
  go(index);
  return { close: () => dialog.close(), drop };
}
