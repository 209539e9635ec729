// Numbers: what was typed out of range is set to the nearest, with a note; sizes by a click; seeds by dice.
// Limits come from Python (webui/ui/limits.py) as [label, lowest, highest, step] by the control's id.

import { node, setText } from "./dom.js";
import { same } from "./form-store.js";
import { fieldAt, usual } from "./forms.js";
import { fieldOf, fillField } from "./gradio.js";
import { t } from "./i18n.js";
import { nearest } from "./nearest.js";
import { onShow } from "./shown-jobs.js";
import { effect } from "./signals.js";

const SETTLED_MS = 1000; // in which the press comes that a number is settled for

/** @type {WeakMap<Element, () => void>} */
const causes = new WeakMap(); // what ends the watch of what a remark is about

// A sentence under a control; "" takes it away, and so does another value, or the next press of a button that starts a job.
export function remark(control, text) {
  causes.get(control)?.();
  causes.delete(control);
  if (text)
    causes.set(
      control,
      whenOver(control, () => remark(control, "")),
    );
  let note = control.querySelector(":scope > .easel-remark");
  if (!note && text) {
    note = node("p", { class: "easel-remark", role: "status" });
    control.append(note);
  }
  if (note) {
    setText(note, text);
    note.hidden = !text;
  }
}

function whenOver(control, act) {
  const { store, name } = fieldAt(control.id) ?? {};
  const value = store?.value(name);
  const stop = effect(() => {
    if (store && !same(store.value(name), value)) queueMicrotask(act);
  });
  let told = false; // the press that settles a number is told by the remark
  setTimeout(() => {
    told = true;
  }, SETTLED_MS);
  const press = (event) => {
    if (told && event.target.closest?.(".easel-generate, .easel-add")) act();
  };
  document.addEventListener("click", press, true);
  return () => {
    stop();
    document.removeEventListener("click", press, true);
  };
}

let settled = (/** @type {Element} */ _input) => {}; // until the limits are known

// What was typed into a field becomes what the field takes.
export function settle(input) {
  settled(input);
}

export function limits(limits) {
  const rule = (input) => {
    for (let at = input; at; at = at.parentElement) if (at.id in limits) return [at, limits[at.id]];
    return [null, null];
  };

  settled = (input) => {
    // before Gradio does it without a word, and before it is sent
    if (!(input instanceof HTMLInputElement || input instanceof HTMLTextAreaElement)) return;
    const [control, limit] = rule(input);
    const text = input.value.trim(),
      given = Number(text);
    if (!control || input.type === "range" || !text || !Number.isFinite(given)) return;
    const [set, why] = nearest(given, limit);
    if (set !== given) fillField(input, String(set));
    if (why) remark(control, why);
  };

  for (const kind of ["change", "blur"]) {
    document.addEventListener(
      kind,
      (event) => {
        if (event.target.matches?.("input, textarea")) settle(event.target);
      },
      true,
    );
  }
  document.addEventListener(
    "input",
    (event) => {
      if (!event.isTrusted) return; // ours
      const [control] = event.target.matches?.("input, textarea") ? rule(event.target) : [null];
      if (control) remark(control, "");
    },
    true,
  );
}

// --- Sizes ---------------------------------------------------------------------------------------

export function shapes(element, props, ids) {
  const sides = ids.map(fieldAt);
  const place = element.querySelector(".easel-shapes");
  const offered = () => usual.value.sizes[ids[0]] ?? props.value?.shapes ?? [];

  function mark() {
    offered(); // drawn anew, they are marked anew
    const [width, height] = sides.map(({ store, name }) => store.value(name));
    for (const button of place.children) {
      button.setAttribute("aria-pressed", button.dataset.size === `${width}x${height}`);
    }
  }

  function draw() {
    place.replaceChildren(
      ...offered().map(([ratio, width, height]) => {
        const title = `${width} × ${height}`;
        const button = node("button", {
          type: "button",
          "data-size": `${width}x${height}`,
          title,
          "aria-label": `${ratio}, ${title}`,
          translate: "no",
        });
        const picture = node("i", {
          style: `aspect-ratio: ${width} / ${height}; ${width < height ? "height" : "width"}: 16px`,
        });
        button.append(picture, node("span", {}, ratio));
        button.addEventListener("click", () => {
          sides[0].store.fill({ [sides[0].name]: width, [sides[1].name]: height });
        });
        return button;
      }),
    );
  }

  effect(draw);
  effect(mark);
}

export function swap(element, ids) {
  element.querySelector("button").addEventListener("click", () => {
    const [width, height] = ids.map(fieldAt);
    const { store } = width;
    store.fill({ [width.name]: store.value(height.name), [height.name]: store.value(width.name) });
  });
}

// --- Seeds ---------------------------------------------------------------------------------------

// Dice, and the seed of the picture that is shown (assets/shown-jobs.js).
export function seedTools(element, key) {
  const row = element.closest(".easel-seed");
  const control = () => fieldOf(row, "number").closest("[id]");
  const set = (seed) => {
    const { store, name } = fieldAt(control().id);
    store.fill({ [name]: seed });
  };
  element.addEventListener("click", (event) => {
    const act = event.target.closest("button")?.dataset.act;
    if (act === "dice") set(-1);
    if (act !== "reuse") return;
    const said = (onShow.picture?.parameters || "").split(`${key}: `).slice(1).pop(); // the words may say it too
    const seed = key && key !== "Seed" ? said?.match(/^\d+/)?.[0] : onShow.picture?.seed;
    const none = onShow.picture ? t("The picture that is shown has none") : t("No picture is shown yet");
    const there = seed !== undefined && seed !== null && seed !== "" && !Number.isNaN(Number(seed));
    if (there) set(Number(seed));
    remark(control(), there ? "" : none);
  });
}
