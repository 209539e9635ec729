// The Extensions tab and the line in the head (webui/ui/extensions.py). Both ask Python anew every few seconds,
// and only while somebody can see them. Everything that an extension wrote is set as text.

import { node, setText } from "./dom.js";
import { joined, named, sentence, t } from "./i18n.js";
import { every } from "./polling.js";

export function note(element, trigger, props, watch) {
  const button = element.querySelector(".easel-note"),
    spoken = element.querySelector("[aria-live]");
  function draw() {
    const { line = "", which = "" } = props.value || {};
    button.hidden = !line;
    const said = sentence(line);
    setText(button, which, "title");
    setText(button, said);
    setText(spoken, said);
  }
  button.addEventListener("click", () => trigger("open", {}));
  watch("value", draw);
  draw();
  every(
    element,
    () => true,
    () => trigger("refresh", {}),
  );
}

export function extensions(element, trigger, props, watch) {
  const list = element.querySelector(".ext-list"),
    locked = element.querySelector(".ext-locked");
  const unfolded = new Set(); // cards whose details are open, by name
  let drawn = "";

  function card(one, mayswitch) {
    const made = node("article", { class: "ext", role: "listitem", "data-name": one.name });
    if (one.troubled) made.dataset.troubled = "yes";
    if (!one.on) made.dataset.off = "yes";
    const put = (tag, name, text, into = made, more = {}) => {
      if (text) into.append(node(tag, { class: name, ...more }, text));
    };
    const own = { translate: "no" };
    const head = node("header");
    const title = sentence(one.title);
    put("h3", "ext-name", title, head, Array.isArray(one.title) ? {} : own);
    put("span", "ext-state", sentence(one.label), head);
    const flip = node("button", {
      type: "button",
      role: "switch",
      class: "ext-switch",
      "aria-checked": one.on,
      "aria-label": title,
      ...(Array.isArray(one.title) ? {} : own),
    });
    flip.disabled = !mayswitch;
    flip.append(node("i"));
    flip.addEventListener("click", () => {
      flip.setAttribute("aria-checked", !one.on);
      flip.disabled = true;
      trigger("switch", { name: one.name, on: !one.on });
    });
    head.append(flip);
    made.append(head);
    put("p", "ext-about", named(one.about));
    put("p", "ext-wrong", sentence(one.hanging));
    for (const problem of one.problems) put("p", "ext-wrong", sentence(problem));
    put("p", "ext-restart", named(one.restart));
    const foot = node("div", { class: "ext-foot" });
    const details = node("details");
    details.open = unfolded.has(one.name);
    details.addEventListener("toggle", () => {
      if (details.open) unfolded.add(one.name);
      else unfolded.delete(one.name);
    });
    details.append(node("summary", { "aria-label": t("Details of {name}", { name: title }) }, t("Details")));
    put("p", "ext-hooks", [one.name, one.version].filter(Boolean).join(" "), details, { ...own, title: one.source });
    if (one.hooks.length) put("p", "ext-hooks", one.hooks.join(", "), details, own);
    details.append(node("p", { class: "ext-facts" }, joined(" · ", one.facts.map(sentence))));
    foot.append(details);
    if (one.guide)
      foot.append(node("a", { class: "ext-guide", href: one.guide, target: "_blank" }, t("How to use it")));
    made.append(foot);
    return made;
  }

  function draw() {
    const value = props.value || {};
    const now = JSON.stringify(value);
    if (now === drawn) return;
    drawn = now;
    const focused = document.activeElement;
    const held = focused?.closest?.(".ext")?.dataset.name;
    setText(element.querySelector(".ext-sum"), sentence(value.sum));
    setText(locked, sentence(value.locked));
    locked.hidden = !value.locked;
    list.replaceChildren(...(value.extensions || []).map((one) => card(one, !value.locked)));
    if (held)
      [...list.children]
        .find((one) => one.dataset.name === held)
        ?.querySelector(focused.localName)
        ?.focus();
  }

  watch("value", draw);
  draw();
  const seen = () => element.offsetParent !== null;
  new IntersectionObserver(([entry]) => {
    if (entry.isIntersecting) trigger("refresh", {});
  }).observe(element);
  every(element, seen, () => trigger("refresh", {}));
}
