// Styles: words kept under a name in styles.csv (webui/http/words.py), merged into the boxes.
"use strict";
window.Easel = window.Easel || {};

// A style's words around `words` where it says {prompt}, else after them.
Easel.merged = function (words, style) {
  if (style.includes("{prompt}")) return style.split("{prompt}").join(words);
  if (!words.trim() || !style.trim()) return words.trim() ? words : style;
  return [words.trim(), style.trim()].join(", ");
};

Easel.styles = {
  async ask(method, body, query = "") {
    const headers = body ? { "Content-Type": "application/json" } : {};
    const answer = await fetch("api/styles" + query, { method, headers, body: body && JSON.stringify(body) });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.error);
    return said;
  },
  all() { return this.ask("GET"); },
  put(style) { return this.ask("PUT", style); },
  remove(name) { return this.ask("DELETE", null, "?name=" + encodeURIComponent(name)); },
};

Easel.stylesPanel = function (panel, words) {
  let styles = [], wanted = "", editing = null;
  const list = Easel.node("ul", { class: "panel-list" });
  const foot = Easel.node("div", { class: "panel-foot" });
  const wrong = Easel.node("p", { class: "panel-wrong", role: "alert", hidden: "" });
  const button = (label, kind, act) => {
    const made = Easel.node("button", { type: "button", class: kind }, label);
    made.addEventListener("click", act);
    return made;
  };
  const fail = (error) => { wrong.textContent = error.message; wrong.hidden = false; };

  async function load() {
    try {
      const said = await Easel.styles.all();
      styles = said.styles;
      wrong.hidden = !said.damaged.length;
      wrong.textContent = said.damaged.map((one) => Easel.t("styles.csv, line {line}: {reason}", one)).join("\n");
    } catch (error) { fail(error); }
    draw();
  }

  function icon(name, label, act) {
    const made = button(name, "panel-icon", act);
    made.setAttribute("aria-label", label);
    made.title = label;
    return made;
  }

  function row(style, place) {
    if (editing === style.name) return form(style);
    const one = Easel.node("li", { class: "panel-row" });
    const pick = button("", "panel-pick", () => {
      const [prompt, negative] = words.read();
      panel.hidePopover();
      words.write([Easel.merged(prompt, style.prompt), Easel.merged(negative, style.negative_prompt)]);
      words.focus();
    });
    pick.setAttribute("translate", "no");
    pick.append(Easel.node("span", { class: "panel-words" }, style.name),
      Easel.node("small", {}, [style.prompt, style.negative_prompt && "− " + style.negative_prompt].filter(Boolean).join("  ")));
    one.append(pick,
      icon("✎", Easel.t("Edit {name}", { name: style.name }), () => { editing = style.name; draw(); }),
      icon("✕", Easel.t("Delete {name}", { name: style.name }), async () => {
        try {
          await Easel.styles.remove(style.name);
          const undo = { label: Easel.t("Undo"), act: () => Easel.styles.put({ ...style, place }).then(load) };
          Easel.toast?.(Easel.t("Style {name} deleted", { name: style.name }), undo);
          await load();
          panel.querySelector("input[type=search]").focus();
        } catch (error) { fail(error); }
      }));
    return one;
  }

  function form(style) {  // a style that is edited, or a new one (name "")
    const one = Easel.node("li", { class: "panel-form" });
    const field = (label, value, tag) => {
      const made = Easel.node("label", {}, label), input = Easel.node(tag, { rows: 3, translate: "no" });
      input.value = value;
      made.append(input);
      one.append(made);
      return input;
    };
    const name = field(Easel.t("Name"), style.name, "input");
    const prompt = field(Easel.t("Prompt; {prompt} stands for your own words"), style.prompt, "textarea");
    const negative = field(Easel.t("Negative prompt"), style.negative_prompt, "textarea");
    const save = async () => {
      try {
        const former = style.name || name.value.trim();
        if (!style.name && styles.some((other) => other.name === former)) {
          throw new Error(Easel.t("There is a style called {name} already", { name: former }));
        }
        await Easel.styles.put({ name: name.value, prompt: prompt.value, negative_prompt: negative.value, former });
        editing = null;
        await load();
        panel.querySelector("input[type=search]").focus();
      } catch (error) { fail(error); }
    };
    one.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.target === name || event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        event.stopPropagation();  // Ctrl+Enter would generate
        save();
      }
      if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); editing = null; draw(); }
    });
    const acts = Easel.node("div", { class: "panel-acts" });
    acts.append(button(Easel.t("Save"), "panel-main", save),
      button(Easel.t("Cancel"), "panel-quiet", () => { editing = null; draw(); }));
    one.append(acts);
    setTimeout(() => name.focus());
    return one;
  }

  function draw() {
    const found = styles.map((style, place) => [style, place])
      .filter(([style]) => Object.values(style).join("\n").toLowerCase().includes(wanted));
    const nothing = styles.length ? Easel.t("Nothing found") : Easel.t("No styles yet. Save the words that you use often.");
    const rows = found.map(([style, place]) => row(style, place));
    if (editing === "") {
      const [prompt, negative_prompt] = words.read();
      rows.unshift(form({ name: "", prompt, negative_prompt }));
    }
    list.replaceChildren(...(rows.length ? rows : [Easel.node("li", { class: "panel-nothing" }, nothing)]));
  }

  foot.append(button(Easel.t("Save the current words as a style"), "panel-quiet", () => { editing = ""; draw(); list.scrollTop = 0; }));
  panel.append(Easel.searchField(Easel.t("Search styles"), (text) => { wanted = text; draw(); }), wrong, list, foot);
  load();
};
