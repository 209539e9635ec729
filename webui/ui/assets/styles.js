// Styles: words under a name, one's own in styles.csv and those that come with Easel (webui/http/words.py), merged into the
// boxes.

import { reason } from "./api.js";
import { node, setText } from "./dom.js";
import { named, t } from "./i18n.js";
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

const STARTER = "Starter model"; // the group whose words the model that comes with Easel knows

// What people read and search: our own names are in their language, theirs are as they wrote them.
const title = (style) => (style.shipped ? named(style.name) : style.name);

/**
 * Styles under their groups, one's own first, in the order in which they come.
 * @template {{group: string}} S
 * @param {S[]} styles
 * @returns {[string, S[]][]}
 */
function grouped(styles) {
  const groups = new Map([["", []]]);
  for (const style of styles) {
    if (!groups.has(style.group)) groups.set(style.group, []);
    groups.get(style.group).push(style);
  }
  return [...groups].filter(([, members]) => members.length);
}

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
    pick.append(
      node("span", { class: "panel-words", translate: "no" }, title(style)),
      node(
        "small",
        { translate: "no" },
        [style.prompt, style.negative_prompt && "− " + style.negative_prompt].filter(Boolean).join("  "),
      ),
    );
    const values = { name: title(style) };
    one.append(
      pick,
      icon("✎", style.shipped ? t("Make {name} your own", values) : t("Edit {name}", values), () => {
        editing = style.name;
        draw();
      }),
    );
    if (style.shipped) return one;
    one.append(
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

  const matches = (style) =>
    [title(style), style.name, style.prompt, style.negative_prompt].join("\n").toLowerCase().includes(wanted);

  function group(name, members, places) {
    const one = node("li", { class: "panel-group" });
    one.append(node("h3", {}, name ? named(name) : t("Your styles")));
    if (name === STARTER) one.append(node("p", {}, t("Words that it knows. All other styles are for other models.")));
    const rows = node("ul");
    rows.append(...members.map((style) => row(style, places.get(style))));
    one.append(rows);
    return one;
  }

  function draw() {
    const places = new Map(styles.map((style, place) => [style, place])); // one's own come first: theirs in the file
    const shown = grouped(styles.filter(matches)).map(([name, members]) => group(name, members, places));
    const nothing = styles.length ? t("Nothing found") : t("No styles yet. Save the words that you use often.");
    if (editing === "") {
      const [prompt, negative_prompt] = words.read();
      shown.unshift(form({ name: "", prompt, negative_prompt }));
    }
    list.replaceChildren(...(shown.length ? shown : [node("li", { class: "panel-nothing" }, nothing)]));
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
