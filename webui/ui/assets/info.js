// The PNG info tab (webui/ui/info.py): a picture, what it says of how it was made, and the way to a task's form.

import { node, setText } from "./dom.js";
import { sentence, t, within } from "./i18n.js";
import { iconButton } from "./icons.js";
import { copyText } from "./overlays.js";
import { sendTo } from "./send-to.js";
import { maySettings } from "./settings-like.js";

// `about.tasks`: [name, label, whether it takes a picture].
export function info(element, trigger, props, upload, watch, about) {
  const $ = (selector) => element.querySelector(selector);
  const input = $(".info-drop input"),
    shown = $(".info-shown"),
    image = $(".info-shown img");
  const line = $(".info-line"),
    found = $(".info-found"),
    raw = $(".info-raw"),
    texts = $(".info-texts"),
    text = $(".info-settings"),
    acts = $(".info-acts");
  let number = 0,
    given = null,
    preview = "";

  function say(text, wrong = false) {
    setText(line, text);
    line.classList.toggle("info-wrong", wrong);
    if (text) line.removeAttribute("translate");
  }

  function clear() {
    found.replaceChildren();
    texts.replaceChildren();
    acts.replaceChildren();
    raw.hidden = true;
    raw.open = false;
  }

  async function take(file) {
    if (!file) return;
    const mine = ++number;
    clear();
    if (file.type && !file.type.startsWith("image/")) {
      say(t("{name} is not a picture; use PNG, JPEG or WebP.", { name: file.name }), true);
      return;
    }
    given = null;
    text.value = "";
    image.hidden = false;
    if (preview) URL.revokeObjectURL(preview);
    preview = URL.createObjectURL(file);
    image.src = preview;
    setText(image, file.name, "alt");
    setText(shown.querySelector("figcaption"), file.name);
    $(".info-root").dataset.given = "yes";
    shown.hidden = false;
    say(t("Reading…"));
    try {
      const { path, url } = await upload(file);
      if (mine !== number) return;
      given = { path, url, name: file.name };
      trigger("pick", { path, number: mine });
    } catch {
      if (mine === number) say(t("The picture could not be uploaded; it may be larger than 64 MB."), true);
    } finally {
      input.value = "";
    }
  }

  async function takeOwn(url) {
    // a picture of this page: its file is read anew
    try {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error();
      const body = await answer.blob();
      take(new File([body], decodeURIComponent(url.split("?")[0].split("/").pop()), { type: body.type }));
    } catch {
      say(t("This picture is no longer there."), true);
    }
  }

  function takeText() {
    // settings without a picture
    const mine = ++number;
    clear();
    given = null;
    if (!text.value.trim()) {
      shown.hidden = true;
      delete $(".info-root").dataset.given;
      return say("");
    }
    image.hidden = true;
    image.removeAttribute("src");
    setText(shown.querySelector("figcaption"), "");
    shown.hidden = false;
    $(".info-root").dataset.given = "yes";
    trigger("pick", { text: text.value, number: mine });
  }

  // --- What it says ---

  const copier = (text) => {
    const button = iconButton("copy", t("Copy"), async () => {
      const done = await copyText(text);
      const words = button.querySelector("span");
      setText(words, done ? t("Copied") : t("Select and copy by hand"));
      setTimeout(() => {
        setText(words, t("Copy"));
      }, 1500);
    });
    return button;
  };

  function passage(label, text) {
    const part = node("section", { class: "info-part" });
    const head = node("header");
    head.append(node("h2", {}, label), copier(text));
    part.append(head, node("p", { class: "info-words", translate: "no" }, text));
    return part;
  }

  function table(pairs) {
    const list = node("dl", { class: "info-table" });
    for (const [key, value] of pairs) {
      const row = node("div");
      row.append(node("dt", { translate: "no" }, key), node("dd", { translate: "no" }, value));
      list.append(row);
    }
    return list;
  }

  function neat(text) {
    // JSON on lines of its own
    try {
      return JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      return text;
    }
  }

  function further(name, text) {
    const more = node("details", { class: "info-raw" });
    const summary = node("summary", {});
    summary.append(node("span", { translate: "no" }, name));
    const box = node("textarea", { readonly: "", rows: 12, "aria-label": name, translate: "no" });
    more.append(summary, box, copier(text));
    more.addEventListener("toggle", () => {
      if (more.open && !box.value) box.value = neat(text);
    });
    return more;
  }

  function draw() {
    const told = props.value || {};
    if (!told.number || told.number !== number) return;
    clear();
    if (told.problem) {
      const words = told.problem;
      say(Array.isArray(words) ? sentence(words) : words[0].toUpperCase() + words.slice(1) + ".", true);
      shown.hidden = true;
      delete $(".info-root").dataset.given;
      return;
    }
    const { width, height } = told;
    setText(
      image,
      told.fields.Prompt ? t("Picture of: {prompt}", { prompt: told.fields.Prompt }) : given?.name || "",
      "alt",
    );
    if (told.format)
      setText(shown.querySelector("figcaption"), `${given?.name || ""} · ${width} × ${height} · ${told.format}`);
    const { Prompt: prompt = "", "Negative prompt": negative = "", ...others } = told.fields;
    const names = Object.keys(told.texts);
    if (told.parameters) {
      say("");
      if (prompt) found.append(passage(t("Prompt"), prompt));
      if (negative) found.append(passage(t("Negative prompt"), negative));
      if (Object.keys(others).length) found.append(table(Object.entries(others)));
      raw.hidden = !told.format; // a text stands in its box
      raw.querySelector("textarea").value = told.parameters;
      raw.querySelector(".easel-act")?.remove();
      raw.append(copier(told.parameters));
    } else if (told.comfyui) {
      say(t("This picture carries a ComfyUI workflow. Easel cannot run it; here it is as it stands in the file."));
    } else {
      say(
        names.length
          ? t("This picture carries no settings that Easel can read. What else is written in it:")
          : t("This picture carries no settings."),
      );
    }
    texts.append(...names.map((name) => further(name, told.texts[name])));
    if (told.comfyui && !told.parameters) texts.querySelector("details").open = true;
    const send = (to, picture) =>
      sendTo({
        to,
        url: picture ? given.url : "",
        path: picture ? given.path : "",
        width: picture ? width : 0,
        height: picture ? height : 0,
        parameters: told.parameters,
        name: given?.name ?? "",
      });
    const icons = { img2img: "image", inpaint: "brush", upscale: "upscale" };
    for (const [name, label, takes] of about.tasks) {
      const picture = takes && Boolean(given);
      if (!picture && !(told.parameters && (name === "txt2img" || (!given && ["img2img", "inpaint"].includes(name)))))
        continue;
      acts.append(
        iconButton(icons[name] || "settings", t("Send to {task}", { task: within(label) }), () => send(name, picture)),
      );
    }
  }

  // --- How a picture gets here ---

  input.addEventListener("change", () => take(input.files[0]));
  text.addEventListener("input", takeText);
  setText(text, t("Settings as text"), "aria-label");
  setText(text, t("Or paste settings as text here"), "placeholder");
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.dataset.over = "yes";
  });
  element.addEventListener("dragleave", (event) => {
    if (!element.contains(event.relatedTarget)) delete element.dataset.over;
  });
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    delete element.dataset.over;
    const [file] = event.dataTransfer.files;
    const url = event.dataTransfer.getData("text/uri-list").split("\n")[0];
    if (file) take(file);
    else if (url && new URL(url, document.baseURI).origin === location.origin) takeOwn(url);
    else say(t("Drop the picture's file: pictures of other sites are not fetched."), true);
  });
  document.addEventListener("paste", (event) => {
    if (!element.isConnected || element.offsetParent === null) return;
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    const words = event.clipboardData.getData("text/plain");
    if (file) {
      event.preventDefault();
      take(file);
    } else if (maySettings(words) && !event.target.closest?.("input, textarea:not([readonly])")) {
      event.preventDefault();
      text.value = words;
      takeText();
    }
  });
  watch("value", draw);
  draw();
}
