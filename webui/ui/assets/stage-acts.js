// What people do with a finished picture: the bar under it, and the same in full screen.

import { compare } from "./compare.js";
import { node, setText } from "./dom.js";
import { named, t, within } from "./i18n.js";
import { icon, iconButton } from "./icons.js";
import { copyText, toast, withMenu } from "./overlays.js";
import * as pictureActions from "./picture-actions.js";
import { sendTo } from "./send-to.js";

// [icon, task, label] of the tasks that a picture can be handed to.
export const stageTargets = (about) =>
  about.sends.map(([name, label]) => {
    const icon = { img2img: "image", inpaint: "brush", upscale: "upscale" }[name] || "arrow";
    return [icon, name, name === "upscale" ? named(label) : t("To {task}", { task: within(label) })];
  });

export const sendPicture = (to, one) =>
  sendTo({ to, url: one.url, width: one.width, height: one.height, parameters: one.parameters, name: one.name });

export async function copySettings(one, button) {
  const words = button?.querySelector("span");
  const done = await copyText(one.parameters);
  if (!words) {
    toast(done ? t("Settings copied.") : t("This browser does not let us copy; select the text."), null, 4);
    return;
  }
  setText(words, done ? t("Copied") : t("Not copied"));
  setTimeout(() => {
    setText(words, t("Copy settings"));
  }, 1500);
}

// As many words as there is room for: the last give way to their icons first, so that words stand beside words.
export function shorten(acts) {
  const worded = [...acts.querySelectorAll(".easel-act:not(.stage-first)")].filter((one) => one.querySelector("span"));
  for (const one of worded) one.classList.remove("stage-short");
  if (!acts.clientWidth) return;
  for (const one of worded.reverse()) {
    if (acts.scrollWidth <= acts.clientWidth && acts.scrollHeight <= acts.clientHeight) return;
    one.classList.add("stage-short");
  }
}

// The bar of one picture. `how`: {about, again(one, vary), pictures, view(one), whole(), number}.
export function stageActs(acts, one, how) {
  const { about } = how;
  const button = iconButton;
  const plain = { plain: true };
  const made = [];
  if (how.whole) made.push(button("grid", t("All {number}", { number: how.number }), how.whole));
  if (about.samples) {
    made.push(
      button("again", t("Again"), () => how.again(one, false), {
        title: t("The same settings with a new seed"),
      }),
      button("vary", t("Vary"), () => how.again(one, true), {
        title: t("The same seed, with a little of another's noise"),
      }),
    );
  }
  for (const [icon, name, label] of stageTargets(about)) made.push(button(icon, label, () => sendPicture(name, one)));
  if (one.id) {
    const star = button("star", t("Favourite"), () => pictureActions.favour(one), plain);
    star.classList.add("stage-favourite");
    star.setAttribute("aria-pressed", Boolean(one.favourite));
    made.push(star);
  }
  made.push(
    withMenu(
      button("download", t("Download"), () => {}, plain),
      t("Download"),
      (close) =>
        pictureActions.downloads(one).map(([label, href]) => {
          const link = node("a", { href, download: one.name }, label);
          link.addEventListener("click", () => setTimeout(close, 0));
          return link;
        }),
    ),
  );
  const others = () => [one.of, ...how.pictures].filter((other) => other && other.key !== one.key);
  if (others().length) {
    made.push(
      withMenu(
        button("compare", t("Compare"), () => {}, plain),
        t("Compare with"),
        (close) => [
          node("p", { class: "easel-menu-title" }, t("Compare with")),
          ...others()
            .slice(0, 24)
            .map((other) => {
              const label = other.source
                ? t("Compare with the picture it was made of")
                : t("Compare with seed {seed}", { seed: other.seed });
              const choice = node("button", {
                type: "button",
                class: "easel-choice",
                "aria-label": label,
                title: label,
              });
              choice.append(node("img", { src: other.thumbnail, alt: "" }));
              choice.addEventListener("click", () => {
                close();
                compare(other, one);
              });
              return choice;
            }),
        ],
      ),
    );
  }
  made.push(button("full", t("Full screen"), () => how.view(one), plain));
  if (one.parameters) {
    made.push(
      button("copy", t("Copy settings"), () => copySettings(one), plain),
      button("settings", t("Use settings"), () => sendTo({ to: about.task, parameters: one.parameters }), {
        plain: true,
        title: t("Put this picture's settings into the form"),
      }),
    );
  }
  if (one.id) made.push(button("trash", t("Delete"), () => pictureActions.trash(one), plain));
  for (const first of made.slice(0, how.whole ? 3 : 2)) first.classList.add("stage-first"); // with words in any width
  acts.replaceChildren(...made);
  shorten(acts);
}

// The bar of all pictures of a job, until one is chosen.
export function stageActsOfAll(acts, all, { about, again, view }) {
  const [first] = all;
  const made = [];
  if (about.samples) {
    made.push(
      iconButton("again", t("Again"), () => again(first, false), {
        title: t("The same settings with a new seed"),
      }),
    );
  }
  const ids = all.map((one) => one.id).filter(Boolean);
  if (ids.length === all.length) {
    const link = node("a", {
      class: "easel-act",
      href: `api/pictures/archive?ids=${ids.join(",")}`,
      download: "pictures.zip",
    });
    link.append(icon("download"), node("span", {}, t("Download all")));
    made.push(link);
  }
  made.push(iconButton("full", t("Full screen"), () => view(first)));
  for (const one of made) one.classList.add("stage-first");
  acts.replaceChildren(...made);
}

// The same for the viewer, where any picture of the strip may be on show.
export const stageActions = ({ about }) => [
  {
    label: t("Favourite"),
    icon: "star",
    key: "f",
    for: (one) => one.id,
    pressed: (one) => one.favourite,
    act: pictureActions.favour,
  },
  ...stageTargets(about).map(([icon, name, label]) => ({
    label,
    icon,
    closes: true,
    act: (one) => sendPicture(name, one),
  })),
  {
    label: t("Use settings"),
    icon: "settings",
    closes: true,
    for: (one) => one.parameters,
    act: (one) => sendTo({ to: about.task, parameters: one.parameters }),
  },
  {
    label: t("Compare with the one before"),
    icon: "compare",
    key: "c",
    for: (_one, before) => before,
    act: (one, before) => compare(before, one),
    lacking: t("There is no other picture to compare it with."),
  },
  {
    label: t("Compare with the picture it was made of"),
    icon: "compare",
    key: "c",
    for: (one, before) => one.of && !before,
    act: (one) => compare(one.of, one),
  },
  { label: t("Download"), icon: "download", key: "d", act: (one) => pictureActions.download(one) },
  { label: t("Delete"), icon: "trash", key: "Delete", for: (one) => one.id, act: pictureActions.trash },
];
