// One model file over the page: what it is, what is said of it, its picture.

import { ask } from "./api.js";
import { node, setText } from "./dom.js";
import { sentence, t } from "./i18n.js";
import { icon, iconButton } from "./icons.js";
import { bytes, edits, ICONS, kindName } from "./models-ask.js";
import { copyText, openDialog, toast } from "./overlays.js";
import { titleOf } from "./picture-actions.js";

// `use(file)` uses it; `changed(file)` hears what it is after something about it was kept.
export async function openSheet(file, { use, changed }) {
  const dialog = node("dialog", { class: "model-sheet", "aria-labelledby": "model-sheet-name" });
  const head = node("header"),
    body = node("div", { class: "sheet-body" });
  const close = iconButton("close", t("Close (Esc)"), () => dialog.close(), { plain: true });
  head.append(node("h2", { id: "model-sheet-name", translate: "no" }, file.name), close);
  dialog.append(head, body);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  body.append(node("p", { class: "sheet-quiet" }, t("Loading…")));
  openDialog(dialog);
  let told;
  try {
    told = await ask("api/models/files/" + file.id);
  } catch (error) {
    body.replaceChildren(node("p", { class: "sheet-wrong", role: "alert" }, error.message));
    return;
  }
  const saved = node("p", { class: "sheet-saved", role: "status", "aria-live": "polite" });

  // One after the other, in the order they were written; what uses the file waits for it.
  function keep(values) {
    edits.ids.add(file.id);
    edits.written = edits.written.then(() => send(values));
  }

  async function send(values) {
    try {
      told = await ask("api/models/files/" + file.id, "PATCH", values);
      setText(saved, t("Saved"));
      saved.dataset.wrong = "";
      changed(told);
    } catch (error) {
      setText(saved, error.message);
      saved.dataset.wrong = "yes";
    }
  }

  function fact(list, name, value, own = true) {
    if (!value) return;
    list.append(node("dt", {}, name), node("dd", own ? { translate: "no" } : {}, value));
  }

  function look() {
    const place = node("div", { class: "sheet-look" });
    const picture = node("div", { class: "sheet-picture" });
    if (told.preview)
      picture.append(node("img", { src: told.preview, alt: t("Preview of {name}", { name: told.name }) }));
    else picture.append(icon(ICONS[told.kind]));
    const acts = node("div", { class: "sheet-acts" });
    if (told.kind === "checkpoint" && !told.problem)
      acts.append(
        act(
          t("Use this model"),
          () => {
            dialog.close();
            use(told);
          },
          true,
        ),
      );
    if (told.insert)
      acts.append(
        act(
          t("Add to prompt"),
          () => {
            dialog.close();
            use(told);
          },
          true,
        ),
      );
    const set = act(t("Set preview…"), () => pick(picker));
    set.disabled = Boolean(told.can_preview);
    setText(set, told.can_preview, "title");
    acts.append(set);
    const picker = node("div", { class: "sheet-pick", hidden: "" });
    place.append(picture, acts, picker);
    return place;
  }

  function act(label, run, main = false) {
    const button = node("button", { type: "button", class: main ? "sheet-act sheet-main" : "sheet-act" }, label);
    button.addEventListener("click", run);
    return button;
  }

  async function pick(picker) {
    // one of the newest pictures
    picker.hidden = false;
    picker.replaceChildren(node("p", { class: "sheet-quiet" }, t("Loading…")));
    try {
      const { pictures } = await ask("api/pictures?limit=12");
      const choice = pictures.length
        ? t("Choose one of the newest pictures:")
        : t("There is no picture yet; make one first.");
      picker.replaceChildren(
        node("p", { class: "sheet-quiet" }, choice),
        ...pictures.map((one) => {
          const button = node("button", {
            type: "button",
            class: "sheet-choice",
            translate: "no",
            "aria-label": titleOf(one),
            title: titleOf(one),
          });
          button.append(node("img", { src: one.thumbnail, alt: "" }));
          button.addEventListener("click", async () => {
            try {
              told = await ask(`api/models/files/${file.id}/preview`, "POST", { picture: one.id });
              changed(told);
              draw();
              body.querySelector(".sheet-act:last-child")?.focus();
            } catch (error) {
              picker.replaceChildren(node("p", { class: "sheet-wrong", role: "alert" }, error.message));
            }
          });
          return button;
        }),
      );
      picker.querySelector("button")?.focus();
    } catch (error) {
      picker.replaceChildren(node("p", { class: "sheet-wrong", role: "alert" }, error.message));
    }
  }

  function problem() {
    const made = node("div", { class: "sheet-wrong" });
    const [, why, command] = /^(.*?)(python launch\.py .*)?$/s.exec(
      String(sentence(told.problem_said ?? told.problem)),
    );
    made.append(node("p", {}, why.replace(/[:：]\s*$/, ":")));
    if (command) {
      const line = node("div", { class: "sheet-command" });
      line.append(
        node("code", { translate: "no" }, command),
        iconButton(
          "copy",
          t("Copy the command"),
          async () => {
            if (await copyText(command)) toast(t("Command copied."), null, 4);
          },
          { plain: true },
        ),
      );
      made.append(line);
    }
    return made;
  }

  function field(label, info, input) {
    const made = node("label", { class: "sheet-field" });
    made.append(node("span", {}, label), input);
    if (info) made.append(node("small", {}, info));
    return made;
  }

  function text(name, rows) {
    const box = node("textarea", { rows, name, translate: "no", maxlength: 20000 });
    box.value = told[name];
    box.addEventListener("change", () => keep({ [name]: box.value }));
    return box;
  }

  function menu(name, options) {
    const made = node("select", { name });
    for (const [value, label, own] of options)
      made.append(node("option", own ? { value, translate: "no" } : { value }, label));
    made.value = told[name];
    made.addEventListener("change", () => keep({ [name]: name === "prediction" ? made.value || null : made.value }));
    return made;
  }

  function notes() {
    const form = node("fieldset", { class: "sheet-notes" });
    form.disabled = Boolean(told.can_note);
    form.append(node("legend", {}, t("Notes")));
    if (told.can_note) form.append(node("p", { class: "sheet-quiet" }, told.can_note));
    if (["checkpoint", "lora", "embedding"].includes(told.kind)) {
      const words = text("activation_text", 2);
      form.append(
        field(t("Activation words"), told.kind === "lora" ? t("Go into the prompt with the LoRA") : "", words),
      );
      if (told.tags.length) form.append(tags(words));
      form.append(
        field(
          t("Negative words"),
          told.kind === "lora" ? t("Go into the negative prompt") : "",
          text("negative_text", 1),
        ),
      );
    }
    if (told.kind === "lora") {
      const weight = node("input", { type: "number", step: "0.05", min: "-10", max: "10", placeholder: "1" });
      weight.value = told.preferred_weight ?? "";
      weight.addEventListener("change", () =>
        keep({ preferred_weight: weight.value === "" ? null : Number(weight.value) }),
      );
      form.append(field(t("Preferred weight"), "", weight));
    }
    if (told.kind === "checkpoint") {
      const names = { epsilon: t("noise"), v_prediction: "v", sample: t("the picture") };
      const automatic =
        told.predicts && !told.prediction
          ? t("Automatic ({what})", { what: names[told.predicts] || told.predicts })
          : t("Automatic");
      form.append(
        field(
          t("The U-Net predicts"),
          t("Acts when the model is loaded next"),
          menu("prediction", [
            ["", automatic],
            ["epsilon", t("Noise (epsilon)")],
            ["v_prediction", t("Velocity (v)")],
          ]),
        ),
      );
      const vaes = told.vaes.includes(told.vae) || !told.vae ? told.vaes : [...told.vaes, told.vae];
      form.append(
        field(
          "VAE",
          t("Used where the VAE menu says automatic"),
          menu("vae", [["", t("The model's own")], ...vaes.map((one) => [one, one, true])]),
        ),
      );
    }
    form.append(field(t("Description"), "", text("description", 1)), field(t("Notes"), "", text("notes", 3)), saved);
    return form;
  }

  function tags(words) {
    // what the training pictures were called; a click adds it
    const place = node("div", {
      class: "sheet-tags",
      role: "group",
      "aria-label": t("Words of the training pictures"),
    });
    place.append(node("small", {}, t("Words of the training pictures; a click adds one:")));
    for (const [tag, count] of told.tags) {
      const chip = node("button", { type: "button", title: count.toLocaleString(), translate: "no" }, tag);
      chip.addEventListener("click", () => {
        const now = words.value
          .split(",")
          .map((one) => one.trim())
          .filter(Boolean);
        if (now.includes(tag)) return;
        words.value = [...now, tag].join(", ");
        keep({ activation_text: words.value });
      });
      place.append(chip);
    }
    return place;
  }

  function facts() {
    const list = node("dl", { class: "sheet-facts" });
    fact(
      list,
      t("Kind"),
      told.inpainting ? t("{kind} for inpainting", { kind: kindName(told.kind) }) : kindName(told.kind),
      false,
    );
    fact(list, t("Family"), told.family);
    fact(list, t("Size"), bytes(told.size));
    if (told.modified) fact(list, t("Changed"), new Date(told.modified * 1000).toLocaleString());
    fact(list, t("Hash"), told.hash);
    fact(list, "SHA-256", told.sha256);
    fact(list, t("File"), told.path);
    return list;
  }

  function metadata() {
    const all = Object.entries(told.metadata);
    const made = node("details", { class: "sheet-metadata" });
    made.append(node("summary", {}, t("Metadata ({number})", { number: all.length })));
    const list = node("dl", { class: "sheet-facts" });
    for (const [name, value] of all.sort(([one], [other]) => one.localeCompare(other))) {
      list.append(node("dt", { translate: "no" }, name), node("dd", { translate: "no" }, value));
    }
    made.append(list);
    return made;
  }

  function draw() {
    const right = node("div", { class: "sheet-told" });
    if (told.problem) right.append(problem());
    right.append(facts());
    if (!told.problem) right.append(notes());
    if (Object.keys(told.metadata).length) right.append(metadata());
    body.replaceChildren(look(), right);
  }

  draw();
  body.querySelector(".sheet-main")?.focus();
}
