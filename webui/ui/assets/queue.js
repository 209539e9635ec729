// The Queue tab (webui/ui/queue.py). Asks anew every second while it can be seen. A job keeps its row, and a row its
// buttons, so that focus and pointer stay where they are. Everything that somebody wrote is set as text.

import { node, setText } from "./dom.js";
import { joined, sentence, t } from "./i18n.js";
import { language } from "./language.js";
import { briefly } from "./picture-actions.js";
import { every } from "./polling.js";
import { clearedUntil, clearUntil } from "./queue-cleared.js";
import { showJob } from "./shown-jobs.js";

export const QUEUE_MS = 1000;
const LINE = 300; // characters of a prompt, more than there is room for

export function queue(element, trigger, props, watch) {
  const $ = (selector) => element.querySelector(selector);
  const lists = { open: $(".queue-open"), ended: $(".queue-ended") };
  const spoken = $("[aria-live]");
  const acts = [
    ["open", t("Open"), t("Opened")],
    ["pause", t("Pause"), t("Paused")],
    ["resume", t("Resume"), t("Resumed")],
    ["interrupt", t("Interrupt"), t("Interrupted")],
    ["skip", t("Skip"), t("Skipped")],
    ["cancel", t("Cancel"), t("Cancelled")],
    ["repeat", t("Repeat"), t("Added once more")],
    ["up", "↑", t("Moved up")],
    ["down", "↓", t("Moved down")],
    ["first", t("First"), t("Moved to the front")],
  ];
  const titles = {
    up: t("Start earlier"),
    down: t("Start later"),
    first: t("Start next"),
    repeat: t("The same once more"),
    open: t("Show it in its tab, with its settings in the form"),
    interrupt: t("Keep each running picture as it stands, and begin no other"),
    skip: t("Give this picture up, and go on with the next"),
  };
  const does = { ...Object.fromEntries(acts), ...titles }; // act -> what it does
  let rows = new Map();
  let marks = [null, null];
  let late = 0; // the server's clock less ours, in seconds

  function press(one, act, said) {
    if (act === "open") {
      if (one.acts.includes("open")) showJob(one.task, one.id);
      trigger("visit", { job: one.id });
      return;
    }
    trigger("act", { job: one.id, act, cleared: clearedUntil() });
    if (one.acts.includes(act)) setText(spoken, said);
  }

  function made(id) {
    const root = node("article", { class: "job", role: "listitem", "data-job": id });
    const row = { root, one: null, urls: "", buttons: {} };
    const put = (name, tag, into = root) => {
      row[name] = node(tag, { class: "job-" + name });
      into.append(row[name]);
      return row[name];
    };
    put("look", "div");
    const body = put("body", "div");
    const head = put("head", "header", body);
    put("label", "span", head);
    put("prompt", "h4", head);
    const bar = put("bar", "div", body);
    bar.className = "stage-bar job-bar";
    for (const [name, value] of Object.entries({
      role: "progressbar",
      "aria-label": t("Progress"),
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    }))
      bar.setAttribute(name, value);
    bar.append(node("i"));
    put("line", "p", body);
    put("error", "p", body).setAttribute("translate", "no");
    put("facts", "p", body);
    const keys = put("acts", "div");
    for (const [act, label, said] of acts) {
      const button = node("button", { type: "button", class: "job-" + act }, label);
      if (titles[act]) setText(button, titles[act], "title");
      button.addEventListener("click", () => press(row.one, act, said));
      row.buttons[act] = button;
      keys.append(button);
    }
    return row;
  }

  function look(row, one) {
    // a preview, else its pictures
    const urls = one.preview ? [one.preview] : one.pictures;
    if (urls.join() === row.urls) return;
    row.urls = urls.join();
    const before = row.look.querySelector("img.job-preview");
    if (before && one.preview) {
      before.src = one.preview;
      return;
    } // a new element would flicker
    row.look.replaceChildren(
      ...urls.map((url) => {
        const image = node("img", {
          src: url,
          alt: one.preview ? t("Preview") : "",
          class: one.preview ? "job-preview" : "",
          loading: one.preview ? "eager" : "lazy",
        });
        image.addEventListener("error", () => image.remove());
        return image;
      }),
    );
    if (!one.preview && one.number > urls.length && urls.length) {
      row.look.append(node("span", {}, "+" + (one.number - urls.length)));
    }
    row.look.dataset.many = urls.length > 1 ? "yes" : "";
  }

  function update(row, one) {
    row.one = one;
    row.root.dataset.state = one.state;
    setText(row.label, sentence(one.label));
    setText(row.prompt, briefly(one.prompt, LINE) || t("No prompt")); // it names the job, too
    setText(row.prompt, briefly(one.prompt), "title");
    if (one.prompt) row.prompt.setAttribute("translate", "no");
    else row.prompt.removeAttribute("translate");
    row.bar.hidden = !["running", "paused"].includes(one.state);
    row.bar.setAttribute("aria-valuenow", Math.round(100 * one.progress));
    row.bar.firstElementChild.style.width = 100 * one.progress + "%";
    setText(row.line, sentence(one.line));
    setText(row.error, sentence(one.error));
    look(row, one);
    for (const [act, button] of Object.entries(row.buttons)) {
      const can = one.acts.includes(act);
      const stays = (["up", "down", "first"].includes(act) && one.state === "queued") || act === "repeat";
      button.hidden = !can && !stays;
      button.setAttribute("aria-disabled", !can);
      const prompt = one.prompt.slice(0, 100) || t("no prompt");
      setText(button, t("{act}: {prompt}", { act: does[act], prompt }), "aria-label");
    }
    age(row);
  }

  // Facts in one line; the model's and the owner's names, at the places `names`, are no words of ours.
  function tell(row, facts, names) {
    const said = String(joined(" · ", facts));
    if (row.facts.textContent === said) return;
    const parts = facts.map((fact, place) => node("span", names.includes(place) ? { translate: "no" } : {}, fact));
    row.facts.replaceChildren(
      ...parts.filter((part) => part.textContent).flatMap((part, place) => (place ? [" · ", part] : [part])),
    );
  }

  function age(row) {
    const { one } = row;
    const seconds = Math.max(0, Date.now() / 1000 + late - one.created);
    const words =
      seconds < 5
        ? t("just now")
        : seconds < 90
          ? t("{number} s ago", { number: Math.round(seconds) })
          : seconds < 5400
            ? t("{number} min ago", { number: Math.round(seconds / 60) })
            : seconds < 129600
              ? t("{number} h ago", { number: Math.round(seconds / 3600) })
              : t("{number} days ago", { number: Math.round(seconds / 86400) });
    tell(
      row,
      [...one.facts.map(sentence), one.created ? words : "", sentence(one.whose)],
      Array.isArray(one.whose) ? [1] : [1, one.facts.length + 1],
    );
    setText(row.facts, one.created ? new Date(one.created * 1000).toLocaleString(language.code) : "", "title");
  }

  function draw() {
    const value = props.value || {};
    if (!value.marks) return;
    const held = document.activeElement;
    marks = value.marks;
    late = value.now - Date.now() / 1000;
    setText($(".queue-sum"), sentence(value.sum));
    setText($(".queue-more"), sentence(value.more));
    $(".queue-more").hidden = !value.more;
    $(".queue-cancel").hidden = !value.mine;
    for (const [name, list] of Object.entries(lists)) {
      if (!value[name]) continue; // as it was
      const now = value[name].map((one) => {
        const row = rows.get(one.id) || made(one.id);
        rows.set(one.id, row);
        update(row, one);
        return row.root;
      });
      now.forEach((root, place) => {
        if (list.children[place] !== root) list.insertBefore(root, list.children[place] || null);
      });
      while (list.children.length > now.length) list.lastChild.remove();
    }
    rows = new Map([...rows].filter(([, row]) => row.root.isConnected));
    $(".queue-past").hidden = !lists.ended.children.length;
    if (element.contains(held)) keep(held);
  }

  function keep(held) {
    // the keyboard's place, where a row has moved or its button is gone
    if (held === document.activeElement && held.offsetParent) return;
    const fellow = { "job-pause": ".job-resume", "job-resume": ".job-pause" }[held.className];
    const row = held.closest(".job");
    [held, fellow && row.querySelector(fellow), row?.querySelector("button:not([hidden])")]
      .find((one) => one?.isConnected && one.offsetParent)
      ?.focus();
  }

  const ask = () => trigger("refresh", { open: marks[0], ended: marks[1], cleared: clearedUntil() });
  $(".queue-cancel").addEventListener("click", () => {
    trigger("act", { job: "", act: "cancel-mine", cleared: clearedUntil() });
    setText(spoken, t("All of your jobs are cancelled"));
  });
  $(".queue-clear").addEventListener("click", () => {
    clearUntil(Date.now() / 1000 + late);
    ask();
  });
  watch("value", draw);
  draw();
  const seen = () => element.offsetParent !== null;
  new IntersectionObserver(([entry]) => {
    if (entry.isIntersecting) ask();
  }).observe(element);
  every(
    element,
    seen,
    () => {
      ask();
      rows.forEach(age);
    },
    QUEUE_MS,
  );
}
