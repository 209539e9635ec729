// The strip under a stage: this session's pictures, the newest first. What becomes of them elsewhere (a favourite, the
// trash, a file that is gone) shows here too. And the pictures that come from elsewhere: of jobs that the stage did not
// show to their end, and of the gallery.

import { node } from "./dom.js";
import { named, t } from "./i18n.js";
import { recall, remember } from "./memory.js";
import { titleOf } from "./picture-actions.js";
import { sendPicture } from "./stage-acts.js";

// `how`: {shown() is the picture on show or null, choose(one), gone(other or null) when the shown one is no more,
// back(one) when it is again, starred(one)}.
export function stageStrip(strip, key, how) {
  const MOST = 60;
  let pictures = recall(key, []).filter((one) => one.key);
  let trashed = []; // pictures with their places, as long as they can come back

  function thumb(one) {
    const holder = node("div", { role: "listitem", "data-key": one.key });
    const made = node("button", { type: "button", "aria-label": t("Picture with seed {seed}", { seed: one.seed }) });
    const image = node("img", { src: one.thumbnail, alt: "", loading: "lazy" });
    image.addEventListener("error", async () => {
      // its file is gone, or the server is
      const status = (await fetch(one.url).catch(() => null))?.status;
      if (status === 404 || status === 422) drop([one.key]);
    });
    made.append(image);
    made.addEventListener("click", () => how.choose(one));
    holder.append(made);
    return holder;
  }

  function mark() {
    const shown = how.shown();
    for (const one of strip.children) one.setAttribute("aria-current", one.dataset.key === shown?.key);
  }

  function redraw() {
    strip.replaceChildren(...pictures.map(thumb));
    remember(key, pictures);
    if (how.shown()) mark();
  }

  function drop(keys) {
    // the next one takes the place of the one that was shown
    const shown = how.shown();
    const at = shown ? pictures.findIndex((one) => one.key === shown.key) : -1;
    pictures = pictures.filter((one) => !keys.includes(one.key));
    redraw();
    how.gone(keys, pictures[Math.min(Math.max(at, 0), pictures.length - 1)] || null);
  }

  // `more` is what only the page knows of them; they come behind those of the job `behind`. Gives those that are new.
  function add(found, more, behind = null) {
    const fresh = found.filter((one) => !pictures.some((other) => other.key === one.key));
    for (const one of found) {
      // the gallery may have heard of it meanwhile
      const known = pictures.find((other) => other.key === one.key);
      if (known && !known.id && one.id) Object.assign(known, one);
    }
    let place = 0;
    while (behind && pictures[place]?.key.startsWith(behind + "/")) place++;
    for (const one of fresh) {
      Object.assign(one, more);
      pictures = [...pictures.slice(0, place), one, ...pictures.slice(place)].slice(0, MOST);
      strip.insertBefore(thumb(one), strip.children[place] || null);
    }
    while (strip.children.length > MOST) strip.lastChild.remove();
    if (fresh.length) remember(key, pictures);
    return fresh;
  }

  document.addEventListener("easel-pictures", (event) => {
    const { kind, ids, on } = event.detail;
    if (kind === "trashed") {
      const away = pictures.filter((one) => ids.includes(one.id));
      trashed.push(...away.map((one) => ({ at: pictures.indexOf(one), one })));
      if (away.length) drop(away.map((one) => one.key));
    } else if (kind === "restored") {
      const back = trashed.filter(({ one }) => ids.includes(one.id));
      trashed = trashed.filter((entry) => !back.includes(entry));
      for (const { at, one } of back.reverse()) pictures.splice(at, 0, one);
      if (!back.length) return;
      redraw();
      how.back(back[0].one);
    } else {
      for (const one of pictures) if (ids.includes(one.id)) one.favourite = on;
      how.starred(ids, on);
      remember(key, pictures);
    }
  });

  for (const one of pictures) strip.append(thumb(one));
  return { all: () => pictures, find: (one) => pictures.find((other) => other.key === one.key), add, mark };
}

// Jobs that another one took the place of before they ended: `take(job's value)` gets their pictures, after a reload too.
export function backgroundJobs(key, trigger, take) {
  let missing = recall(key, []);
  const asked = new Set(),
    taken = new Set();

  function ask(jobs) {
    missing = [...new Set([...missing, ...jobs])].filter((job) => !taken.has(job));
    if (missing.every((job) => asked.has(job))) return;
    for (const job of missing) asked.add(job);
    remember(key, missing);
    trigger("collect", { jobs: missing, number: asked.size }); // all of them: an earlier question is answered no more
  }

  return {
    ask,
    take(found) {
      for (const [job, value] of Object.entries(found)) {
        if (!taken.has(job)) take(value);
        taken.add(job);
      }
      missing = missing.filter((job) => !taken.has(job));
      remember(key, missing);
    },
  };
}

// What a task that starts from a picture offers until it has one: those that were made last.
export async function stageOffer(hint, place, about) {
  let made = [];
  try {
    made = (await (await fetch("api/pictures?limit=6")).json()).pictures || [];
  } catch {
    /* no gallery, or none that answers: then there is nothing to offer */
  }
  if (!made.length) return;
  hint.replaceChildren(
    node("span", {}, named(about.hint)),
    " ",
    node("span", { class: "stage-start" }, t("Or start with one of these:")),
  );
  place.dataset.look = "pictures";
  place.replaceChildren(
    ...made.map((one) => {
      const said = t("Picture of: {prompt}", { prompt: titleOf(one) });
      const card = node("button", { type: "button", "aria-label": said, title: said, translate: "no" });
      card.append(node("img", { src: one.thumbnail, alt: "" }));
      card.addEventListener("click", async () => {
        const { parameters = "" } = await (await fetch(`api/pictures/${one.id}`)).json();
        sendPicture(about.task, { ...one, parameters });
      });
      return card;
    }),
  );
}
