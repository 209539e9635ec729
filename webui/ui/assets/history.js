// The prompts of this browser: what was generated, kept here and nowhere else.

import { node } from "./dom.js";
import { t } from "./i18n.js";
import { toast } from "./overlays.js";
import { searchField } from "./panel.js";
import { briefly } from "./picture-actions.js";

const LINES = 300; // characters of a prompt that the list shows, more than there is room for

export const promptHistory = {
  KEY: "easel-prompts",
  MOST: 200,
  all() {
    // [prompt, negative prompt], the newest first
    try {
      const kept = JSON.parse(localStorage.getItem(this.KEY));
      return Array.isArray(kept) ? kept.filter((one) => Array.isArray(one) && typeof one[0] === "string") : [];
    } catch {
      return [];
    }
  },
  keep(pairs) {
    try {
      localStorage.setItem(this.KEY, JSON.stringify(pairs.slice(0, this.MOST)));
    } catch {
      /* private mode, or full */
    }
  },
  same: (one, other) => one[0] === other[0] && (one[1] || "") === (other[1] || ""),
  add(pair) {
    if (!pair[0].trim() && !pair[1].trim()) return;
    this.keep([pair, ...this.all().filter((other) => !this.same(pair, other))]);
  },
  remove(pair) {
    this.keep(this.all().filter((other) => !this.same(pair, other)));
  },
};

// Remembers what a task's form generates, and lets its boxes walk through what was.
export function rememberPrompts(words) {
  const form = words.form();
  let asked = false; // for what the form says, and by nobody for a picture once more
  const remember = () => {
    asked = false;
    promptHistory.add(words.read());
    words.history.stop();
  };
  new MutationObserver(() => {
    if (form.dataset.running && asked) remember();
  }).observe(form, { attributeFilter: ["data-running"] });
  form.addEventListener("click", (event) => {
    if (event.target.closest(".easel-add")) remember();
    else if (event.target.closest(".easel-generate, .stage-examples button")) asked = true;
    else if (event.target.closest(".stage-acts")) asked = false;
  });

  let at = -1,
    typed = null; // -1 is what was being typed
  words.history = {
    walking: () => at >= 0,
    stop: () => {
      at = -1;
      typed = null;
    },
    walk(by) {
      // 1 goes back in time
      const now = words.read();
      if (at < 0) typed = now;
      const kept = promptHistory.all().filter((one) => !promptHistory.same(one, typed));
      if (at >= 0 && kept[at] && !promptHistory.same(kept[at], now)) {
        typed = now;
        at = -1;
      } // edited: that is the newest
      const to = at + by;
      if (to < -1 || to >= kept.length) return at >= 0 || by > 0;
      at = to;
      words.write(at < 0 ? typed : [kept[at][0], kept[at][1] || ""]);
      return true;
    },
  };
}

export function historyPanel(panel, words) {
  const list = node("ul", { class: "panel-list" });
  let wanted = "";

  function row(pair) {
    const one = node("li", { class: "panel-row" });
    const pick = node("button", { type: "button", class: "panel-pick", translate: "no" });
    pick.append(node("span", { class: "panel-words" }, briefly(pair[0], LINES) || "—"));
    if (pair[1]) pick.append(node("small", {}, briefly(pair[1], LINES)));
    pick.addEventListener("click", () => {
      panel.hidePopover();
      words.write([pair[0], pair[1] || ""]);
      words.focus();
    });
    const gone = node(
      "button",
      { type: "button", class: "panel-icon", "aria-label": t("Forget this prompt"), title: t("Forget this prompt") },
      "✕",
    );
    gone.addEventListener("click", () => {
      const next = one.nextElementSibling || one.previousElementSibling;
      promptHistory.remove(pair);
      draw();
      ((next && list.querySelector(".panel-icon")) || panel.querySelector("input")).focus();
    });
    one.append(pick, gone);
    return one;
  }

  function draw() {
    const all = promptHistory.all();
    const found = all.filter((pair) => pair.join("\n").toLowerCase().includes(wanted));
    const nothing = all.length ? t("Nothing found") : t("Prompts that you generate appear here");
    list.replaceChildren(...(found.length ? found.map(row) : [node("li", { class: "panel-nothing" }, nothing)]));
    clear.hidden = !all.length;
  }

  const clear = node("button", { type: "button", class: "panel-quiet" }, t("Forget all"));
  clear.addEventListener("click", () => {
    const before = promptHistory.all();
    promptHistory.keep([]);
    draw();
    toast?.(t("The prompts of this browser are forgotten"), {
      label: t("Undo"),
      act: () => promptHistory.keep(before),
    });
  });
  const foot = node("div", { class: "panel-foot" });
  foot.append(node("span", {}, t("Kept in this browser only. Alt+↑ and Alt+↓ walk through them.")), clear);
  panel.append(
    searchField(t("Search your prompts"), (text) => {
      wanted = text;
      draw();
    }),
    list,
    foot,
  );
  draw();
}
