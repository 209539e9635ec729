// The Downloads of the Models tab (webui/http/downloads.py): what is fetched, any repository, well-known models.

import { ask } from "./api.js";
import { node, setText } from "./dom.js";
import { joined, named, sentence, t } from "./i18n.js";
import { iconButton } from "./icons.js";
import { bytes, ICONS, kindName } from "./models-ask.js";

export function downloads(root, { busy, said }) {
  const lock = node("p", { class: "fetch-locked", hidden: "" });
  const now = node("div", { class: "fetch-list", role: "list", "aria-label": t("Downloads") });
  const wrong = node("p", { class: "sheet-wrong", role: "alert", hidden: "" });
  const room = node("p", { class: "fetch-quiet" });
  const found = node("div", { class: "fetch-found" });
  const known = node("div", { class: "fetch-known" });
  const rows = new Map();
  let last = null,
    timer = 0,
    states = new Map();

  const search = node("form", { class: "fetch-search" });
  const name = node("input", {
    type: "text",
    placeholder: t("owner/name"),
    "aria-label": t("Repository, as owner/name"),
    autocomplete: "off",
    spellcheck: "false",
    translate: "no",
  });
  const look = node("button", { type: "submit", class: "sheet-act" }, t("Look"));
  search.append(name, look);
  const title = (text) => node("h3", {}, text);
  root.append(
    lock,
    wrong,
    now,
    room,
    title(t("Well-known open models")),
    known,
    title(t("Any repository")),
    node(
      "p",
      { class: "fetch-quiet" },
      t(
        "A repository of the Hugging Face Hub. Only .safetensors files are downloaded, and each is checked against the hub's SHA-256.",
      ),
    ),
    search,
    found,
  );

  const locked = () => last?.locked ?? "";
  const fail = (error) => {
    setText(wrong, error ? error.message : "");
    wrong.hidden = !error;
  };

  async function change(run) {
    try {
      fail(null);
      await run();
      await load();
    } catch (error) {
      fail(error);
      wrong.scrollIntoView({ block: "nearest" });
    }
  }
  const add = (repo, kind, path) =>
    change(async () => {
      const made = await ask("api/downloads", "POST", { repo, kind, path });
      said(t("{name} is being downloaded.", { name: made.target }));
      now.scrollIntoView({ block: "nearest" });
    });

  function button(icon, label, run) {
    return iconButton(icon, label, run, { plain: true });
  }

  function row(one) {
    let made = rows.get(one.id);
    if (!made) {
      made = node("div", { class: "fetch-row", role: "listitem", "data-id": one.id });
      made.append(
        node("span", { class: "fetch-name", translate: "no" }, one.target),
        node("span", { class: "fetch-state" }),
        node("div", { class: "fetch-acts" }),
        node("progress", { max: "1", "aria-label": one.target }),
        node("p", { class: "fetch-problem" }),
      );
      rows.set(one.id, made);
    }
    const [, state, acts, bar, problem] = made.children;
    const share = one.size ? one.done / one.size : 1;
    const values = {
      done: bytes(one.done) || "0 MB",
      size: bytes(one.size),
      speed: bytes(one.speed),
      percent: Math.floor(share * 100),
    };
    const words = {
      waiting: () => t("Waiting"),
      paused: () => t("Paused at {percent} %", values),
      failed: () => t("Failed"),
      done: () => t("Done · {size}", values),
      verifying: () => t("Checking · {percent} %", values),
      running: () => (one.speed ? t("{done} of {size} · {speed}/s", values) : t("{done} of {size}", values)),
    };
    setText(state, words[one.state]?.() ?? one.state);
    bar.value = one.state === "done" ? 1 : share;
    bar.hidden = one.state === "done" || one.state === "failed";
    setText(problem, sentence(one.problem_said ?? one.problem));
    problem.hidden = !one.problem;
    if (made.dataset.state !== one.state) {
      const held = made.contains(document.activeElement);
      made.dataset.state = one.state;
      acts.replaceChildren();
      const to = (what) => () => change(() => ask(`api/downloads/${one.id}/${what}`, "POST"));
      if (["waiting", "running", "verifying"].includes(one.state))
        acts.append(button("pause", t("Pause {name}", { name: one.target }), to("pause")));
      if (one.state === "paused") acts.append(button("play", t("Resume {name}", { name: one.target }), to("resume")));
      if (one.state === "failed")
        acts.append(button("again", t("Try {name} again", { name: one.target }), to("resume")));
      const remove =
        one.state === "done"
          ? t("Take {name} off the list", { name: one.target })
          : t("Cancel {name}", { name: one.target });
      acts.append(button("close", remove, () => change(() => ask(`api/downloads/${one.id}`, "DELETE"))));
      for (const one of acts.children) one.disabled = Boolean(last?.folder === "" && locked());
      if (held) acts.firstElementChild.focus();
    }
    return made;
  }

  function tell(downloads) {
    // what ended since the last look
    for (const one of downloads) {
      const before = states.get(one.id);
      if (before && before !== one.state && one.state === "done")
        said(t("{name} is there.", { name: one.target }), true);
      if (before && before !== one.state && one.state === "failed")
        said(t("{name} could not be downloaded.", { name: one.target }));
    }
    states = new Map(downloads.map((one) => [one.id, one.state]));
  }

  function card(one) {
    const made = node("article", { class: "fetch-card", role: "listitem" });
    const get = node("button", { type: "button", class: "sheet-act" }, t("Download"));
    setText(get, t("Download {name}", { name: one.name }), "aria-label");
    get.addEventListener("click", () => add(one.repo, one.kind, one.path));
    const what = node("div", { class: "fetch-what" });
    what.append(
      node("h5", {}, one.name),
      node("p", {}, named(one.about)),
      node("p", { class: "fetch-quiet" }, joined(" · ", [kindName(one.kind), one.family, one.licence, one.repo])),
    );
    const needs = node("div", { class: "fetch-needs" });
    needs.append(
      node("p", {}, t("about {size} GB", { size: one.gigabytes })),
      node("p", {}, t("GPU with {memory} GB, or {ram} GB of memory", { memory: one.memory_gb, ram: one.ram_gb })),
    );
    made.append(what, needs, get);
    return made;
  }

  function purpose(name, models) {
    const made = node("section", { class: "fetch-purpose" });
    const cards = node("div", { class: "fetch-cards", role: "list", "aria-label": named(name) });
    cards.append(...models.map(card));
    made.append(node("h4", {}, named(name)), cards);
    return made;
  }

  function draw() {
    setText(lock, named(locked()));
    lock.hidden = !locked();
    root.dataset.locked = locked() ? "yes" : "";
    const there = last.downloads.slice().reverse();
    for (const [id, made] of rows)
      if (!there.some((one) => one.id === id)) {
        made.remove();
        rows.delete(id);
      }
    there.forEach((one, place) => {
      const made = row(one);
      if (now.children[place] !== made) now.insertBefore(made, now.children[place] || null);
    });
    now.hidden = !there.length;
    room.hidden = !last.folder;
    const { folder, free } = last;
    setText(room, folder ? t("Files go into {folder}, where {free} are free.", { folder, free: bytes(free) }) : "");
    name.disabled = look.disabled = Boolean(locked());
    if (known.querySelectorAll(".fetch-card").length !== last.known.length) {
      const names = [...new Set(last.known.map((one) => one.purpose))];
      known.replaceChildren(
        ...names.map((name) =>
          purpose(
            name,
            last.known.filter((one) => one.purpose === name),
          ),
        ),
      );
    }
    for (const one of root.querySelectorAll(".fetch-card button, .fetch-found button, .fetch-found select"))
      one.disabled = Boolean(locked());
    busy(last.downloads.filter((one) => ["waiting", "running", "verifying"].includes(one.state)).length);
  }

  async function load() {
    clearTimeout(timer);
    try {
      last = await ask("api/downloads");
      tell(last.downloads);
      draw();
    } catch {
      /* the next time, then */
    }
    const active = last?.downloads.some((one) => ["waiting", "running", "verifying"].includes(one.state));
    const seen = !document.hidden && root.closest(".easel-models")?.offsetParent !== null;
    timer = setTimeout(load, active ? (seen ? 700 : 3000) : seen ? 5000 : 20000);
  }

  function guess(path) {
    const low = path.toLowerCase();
    return low.includes("lora")
      ? "lora"
      : low.includes("vae")
        ? "vae"
        : low.includes("control")
          ? "controlnet"
          : "checkpoint";
  }

  search.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!name.value.trim()) {
      name.focus();
      return;
    }
    look.disabled = true;
    found.replaceChildren(node("p", { class: "fetch-quiet", role: "status" }, t("Asking the hub…")));
    try {
      const told = await ask("api/downloads/repository?repo=" + encodeURIComponent(name.value.trim()));
      const kinds = () => {
        const made = node("select", { "aria-label": t("Kind") });
        for (const kind of Object.keys(ICONS)) made.append(node("option", { value: kind }, kindName(kind)));
        return made;
      };
      const offer = (label, size, path, own) => {
        const made = node("div", { class: "fetch-file", role: "listitem" });
        const kind = kinds();
        kind.value = guess(`${told.repo}/${path}`);
        if (!path) {
          kind.value = "checkpoint";
          kind.disabled = true;
          kind.hidden = true;
        }
        const get = node(
          "button",
          { type: "button", class: "sheet-act", "aria-label": t("Download {name}", { name: label }) },
          t("Download"),
        );
        get.addEventListener("click", () => add(told.repo, kind.value, path));
        made.append(
          node("span", own ? { class: "fetch-name", translate: "no" } : { class: "fetch-name" }, label),
          node("span", { class: "fetch-size" }, bytes(size)),
          kind,
          get,
        );
        return made;
      };
      const list = node("div", { role: "list", "aria-label": t("Files of {repo}", { repo: told.repo }) });
      if (told.folder_size) list.append(offer(t("The whole diffusers folder"), told.folder_size, "", false));
      for (const file of told.files) list.append(offer(file.path, file.size, file.path, true));
      const lines = [];
      if (!told.files.length) lines.push(t("{repo} has no .safetensors file.", { repo: told.repo }));
      if (told.refused === 1) lines.push(t("One pickled file is left out: it can run code when it is opened."));
      else if (told.refused)
        lines.push(
          t("{number} pickled files are left out: they can run code when they are opened.", { number: told.refused }),
        );
      found.replaceChildren(list, ...lines.map((line) => node("p", { class: "fetch-quiet", role: "status" }, line)));
    } catch (error) {
      found.replaceChildren(node("p", { class: "sheet-wrong", role: "alert" }, error.message));
    }
    look.disabled = Boolean(locked());
  });

  load();
  return { load };
}
