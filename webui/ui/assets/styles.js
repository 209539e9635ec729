// Styles: words kept under a name in styles.csv (webui/http/words.py), merged into the boxes.

import { reason } from "./api.js";
import { node, setText } from "./dom.js";
import { t } from "./i18n.js";
import { toast } from "./overlays.js";
import { searchField } from "./panel.js";

// A style's words around `words` where it says {prompt}, else after them.
export function merged(words, style) {
  if (style.includes("{prompt}")) return style.split("{prompt}").join(words);
  if (!words.trim() || !style.trim()) return words.trim() ? words : style;
  return [words.trim(), style.trim()].join(", ");
}

export const savedStyles = {
  async ask(method, body, query = "") {
    const headers = body ? { "Content-Type": "application/json" } : {};
    const answer = await fetch("api/styles" + query, { method, headers, body: body && JSON.stringify(body) });
    const said = await answer.json();
    if (!answer.ok) throw new Error(reason(said));
    return said;
  },
  all() {
    return this.ask("GET");
  },
  put(style) {
    return this.ask("PUT", style);
  },
  remove(name) {
    return this.ask("DELETE", null, "?name=" + encodeURIComponent(name));
  },
};

export function stylesPanel(panel, words) {
  let styles = [],
    wanted = "",
    editing = null;
  const list = node("ul", { class: "panel-list" });
  const foot = node("div", { class: "panel-foot" });
  const wrong = node("p", { class: "panel-wrong", role: "alert", hidden: "" });
  const button = (label, kind, act) => {
    const made = node("button", { type: "button", class: kind }, label);
    made.addEventListener("click", act);
    return made;
  };
  const fail = (error) => {
    setText(wrong, error.message);
    wrong.hidden = false;
  };

  async function load() {
    try {
      const said = await savedStyles.all();
      styles = said.styles;
      wrong.hidden = !said.damaged.length;
      setText(wrong, said.damaged.map((one) => t("styles.csv, line {line}: {reason}", one)).join("\n"));
    } catch (error) {
      fail(error);
    }
    draw();
  }

  function icon(name, label, act) {
    const made = button(name, "panel-icon", act);
    setText(made, label, "aria-label");
    setText(made, label, "title");
    return made;
  }

  function row(style, place) {
    if (editing === style.name) return form(style);
    const one = node("li", { class: "panel-row" });
    const pick = button("", "panel-pick", () => {
      const [prompt, negative] = words.read();
      panel.hidePopover();
      words.write([merged(prompt, style.prompt), merged(negative, style.negative_prompt)]);
      words.focus();
    });
    pick.setAttribute("translate", "no");
    pick.append(
      node("span", { class: "panel-words" }, style.name),
      node(
        "small",
        {},
        [style.prompt, style.negative_prompt && "− " + style.negative_prompt].filter(Boolean).join("  "),
      ),
    );
    one.append(
      pick,
      icon("✎", t("Edit {name}", { name: style.name }), () => {
        editing = style.name;
        draw();
      }),
      icon("✕", t("Delete {name}", { name: style.name }), async () => {
        try {
          await savedStyles.remove(style.name);
          const undo = { label: t("Undo"), act: () => savedStyles.put({ ...style, place }).then(load) };
          toast?.(t("Style {name} deleted", { name: style.name }), undo);
          await load();
          panel.querySelector("input[type=search]").focus();
        } catch (error) {
          fail(error);
        }
      }),
    );
    return one;
  }

  function form(style) {
    // a style that is edited, or a new one (name "")
    const one = node("li", { class: "panel-form" });
    const field = (label, value, tag) => {
      const made = node("label", {}, label),
        input = node(tag, { rows: 3, translate: "no" });
      input.value = value;
      made.append(input);
      one.append(made);
      return input;
    };
    const name = field(t("Name"), style.name, "input");
    const prompt = field(t("Prompt; {prompt} stands for your own words"), style.prompt, "textarea");
    const negative = field(t("Negative prompt"), style.negative_prompt, "textarea");
    const save = async () => {
      try {
        const former = style.name || name.value.trim();
        if (!style.name && styles.some((other) => other.name === former)) {
          throw new Error(t("There is a style called {name} already", { name: former }));
        }
        await savedStyles.put({ name: name.value, prompt: prompt.value, negative_prompt: negative.value, former });
        editing = null;
        await load();
        panel.querySelector("input[type=search]").focus();
      } catch (error) {
        fail(error);
      }
    };
    one.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.target === name || event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        event.stopPropagation(); // Ctrl+Enter would generate
        save();
      }
      if (event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        editing = null;
        draw();
      }
    });
    const acts = node("div", { class: "panel-acts" });
    acts.append(
      button(t("Save"), "panel-main", save),
      button(t("Cancel"), "panel-quiet", () => {
        editing = null;
        draw();
      }),
    );
    one.append(acts);
    setTimeout(() => name.focus());
    return one;
  }

  function draw() {
    const found = styles
      .map((style, place) => [style, place])
      .filter(([style]) => Object.values(style).join("\n").toLowerCase().includes(wanted));
    const nothing = styles.length ? t("Nothing found") : t("No styles yet. Save the words that you use often.");
    const rows = found.map(([style, place]) => row(style, place));
    if (editing === "") {
      const [prompt, negative_prompt] = words.read();
      rows.unshift(form({ name: "", prompt, negative_prompt }));
    }
    list.replaceChildren(...(rows.length ? rows : [node("li", { class: "panel-nothing" }, nothing)]));
  }

  foot.append(
    button(t("Save the current words as a style"), "panel-quiet", () => {
      editing = "";
      draw();
      list.scrollTop = 0;
    }),
  );
  panel.append(
    searchField(t("Search styles"), (text) => {
      wanted = text;
      draw();
    }),
    wrong,
    list,
    foot,
  );
  load();
}
