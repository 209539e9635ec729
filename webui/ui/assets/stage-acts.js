// What people do with a finished picture: the bar under it, and the same in full screen.
"use strict";
window.Easel = window.Easel || {};

// [icon, task, label] of the tasks that a picture can be handed to.
Easel.stageTargets = (about) => about.sends.map(([name, label]) => {
  const icon = { img2img: "image", inpaint: "brush", upscale: "upscale" }[name] || "arrow";
  return [icon, name, name === "upscale" ? label : Easel.t("To {task}", { task: Easel.within(label) })];
});

Easel.handTo = (to, one) => Easel.handOver({ to, url: one.url, width: one.width, height: one.height, parameters: one.parameters, name: one.name });

Easel.copySettings = async function (one, button) {
  const words = button?.querySelector("span");
  const done = await Easel.copy(one.parameters);
  if (!words) { Easel.toast(done ? Easel.t("Settings copied.") : Easel.t("This browser does not let us copy; select the text."), null, 4); return; }
  const before = words.textContent;
  words.textContent = done ? Easel.t("Copied") : Easel.t("Not copied");
  setTimeout(() => { words.textContent = before; }, 1500);
};

// As many words as there is room for: the longest give way to their icons first.
Easel.shortened = function (acts) {
  const worded = [...acts.querySelectorAll(".easel-act:not(.stage-first)")].filter((one) => one.querySelector("span"));
  for (const one of worded) one.classList.remove("stage-short");
  if (!acts.clientWidth) return;
  const length = (one) => one.querySelector("span").textContent.length;
  for (const one of worded.sort((a, b) => length(b) - length(a))) {
    if (acts.scrollWidth <= acts.clientWidth && acts.scrollHeight <= acts.clientHeight) return;
    one.classList.add("stage-short");
  }
};

// The bar of one picture. `how`: {about, trigger, pictures, view(one), whole(), number}.
Easel.stageActs = function (acts, one, how) {
  const { about, trigger } = how;
  const button = Easel.iconButton;
  const plain = { plain: true };
  const made = [];
  if (how.whole) made.push(button("grid", Easel.t("All {number}", { number: how.number }), how.whole));
  if (about.samples) {
    made.push(
      button("again", Easel.t("Again"), () => trigger("again", { parameters: one.parameters, vary: false }), { title: Easel.t("The same settings with a new seed") }),
      button("vary", Easel.t("Vary"), () => trigger("again", { parameters: one.parameters, vary: true }), { title: Easel.t("The same seed, with a little of another's noise") }),
    );
  }
  for (const [icon, name, label] of Easel.stageTargets(about)) made.push(button(icon, label, () => Easel.handTo(name, one)));
  if (one.id) {
    const star = button("star", Easel.t("Favourite"), () => Easel.kept.favour(one), plain);
    star.classList.add("stage-favourite");
    star.setAttribute("aria-pressed", Boolean(one.favourite));
    made.push(star);
  }
  made.push(Easel.menu(button("download", Easel.t("Download"), () => {}, plain), Easel.t("Download"), (close) =>
    Easel.kept.downloads(one).map(([label, href]) => {
      const link = Easel.node("a", { href, download: one.name }, label);
      link.addEventListener("click", () => setTimeout(close, 0));
      return link;
    })));
  const others = () => [one.of, ...how.pictures].filter((other) => other && other.key !== one.key);
  if (others().length) {
    made.push(Easel.menu(button("compare", Easel.t("Compare"), () => {}, plain), Easel.t("Compare with"), (close) =>
      others().slice(0, 24).map((other) => {
        const label = other.source ? Easel.t("Compare with the picture it was made of") : Easel.t("Compare with seed {seed}", { seed: other.seed });
        const choice = Easel.node("button", { type: "button", class: "easel-choice", "aria-label": label, title: label });
        choice.append(Easel.node("img", { src: other.thumbnail, alt: "" }));
        choice.addEventListener("click", () => { close(); Easel.compare(other, one); });
        return choice;
      })));
  }
  made.push(button("full", Easel.t("Full screen"), () => how.view(one), plain));
  if (one.parameters) {
    made.push(
      button("copy", Easel.t("Copy settings"), () => Easel.copySettings(one), plain),
      button("settings", Easel.t("Use settings"), () => Easel.handOver({ to: about.task, parameters: one.parameters }), { plain: true, title: Easel.t("Put this picture's settings into the form") }),
    );
  }
  if (one.id) made.push(button("trash", Easel.t("Delete"), () => Easel.kept.trash(one), plain));
  for (const first of made.slice(0, how.whole ? 3 : 2)) first.classList.add("stage-first");  // with words in any width
  acts.replaceChildren(...made);
  Easel.shortened(acts);
};

// The bar of all pictures of a job, until one is chosen.
Easel.stageActsOfAll = function (acts, all, { about, trigger, view }) {
  const [first] = all;
  const made = [];
  if (about.samples) {
    made.push(Easel.iconButton("again", Easel.t("Again"), () => trigger("again", { parameters: first.parameters, vary: false }), { title: Easel.t("The same settings with a new seed") }));
  }
  const ids = all.map((one) => one.id).filter(Boolean);
  if (ids.length === all.length) {
    const link = Easel.node("a", { class: "easel-act", href: `api/pictures/archive?ids=${ids.join(",")}`, download: "pictures.zip" });
    link.append(Easel.icon("download"), Easel.node("span", {}, Easel.t("Download all")));
    made.push(link);
  }
  made.push(Easel.iconButton("full", Easel.t("Full screen"), () => view(first)));
  for (const one of made) one.classList.add("stage-first");
  acts.replaceChildren(...made);
};

// The same for the viewer, where any picture of the strip may be on show.
Easel.stageActions = ({ about, pictures }) => [
  { label: Easel.t("Favourite"), icon: "star", key: "f", for: (one) => one.id, pressed: (one) => one.favourite, act: Easel.kept.favour },
  ...Easel.stageTargets(about).map(([icon, name, label]) => ({ label, icon, closes: true, act: (one) => Easel.handTo(name, one) })),
  { label: Easel.t("Use settings"), icon: "settings", closes: true, for: (one) => one.parameters, act: (one) => Easel.handOver({ to: about.task, parameters: one.parameters }) },
  { label: Easel.t("Compare with the one before"), icon: "compare", key: "c", for: (one) => pictures.indexOf(one) < pictures.length - 1, act: (one) => Easel.compare(pictures[pictures.indexOf(one) + 1], one) },
  { label: Easel.t("Download"), icon: "download", key: "d", act: (one) => Easel.kept.download(one) },
  { label: Easel.t("Delete"), icon: "trash", key: "Delete", for: (one) => one.id, act: Easel.kept.trash },
];
