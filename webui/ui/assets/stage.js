// The place where pictures appear. Draws what Python says of a job (webui/ui/stage.py). What can be done with a picture is
// in stage-acts.js, this session's pictures in stage-strip.js.

import { opensPictures } from "./address.js";
import { given } from "./canvas-send.js";
import { node, setText } from "./dom.js";
import { usual } from "./forms.js";
import { heldValue } from "./gradio.js";
import { groups } from "./groups.js";
import { joined, named, sentence, t } from "./i18n.js";
import { recall, remember } from "./memory.js";
import { briefly, pictureAt } from "./picture-actions.js";
import { serverOffline } from "./server-status.js";
import { asked, onShow, showJob, stages, titlePage } from "./shown-jobs.js";
import { effect } from "./signals.js";
import { shorten, stageActions, stageActs, stageActsOfAll } from "./stage-acts.js";
import { arrange, cellsOf, drawGoing } from "./stage-grid.js";
import { sayModel } from "./stage-model.js";
import { backgroundJobs, stageOffer, stageStrip } from "./stage-strip.js";
import { openViewer } from "./viewer.js";

export function stage(element, trigger, props, watch, about) {
  const $ = (selector) => element.querySelector(selector);
  const frame = $(".stage-frame"),
    full = $(".stage-full"),
    picture = $(".stage-picture"),
    grid = $(".stage-grid");
  const progress = $(".stage-progress"),
    line = $(".stage-line"),
    spoken = $("[aria-live]");
  const acts = $(".stage-acts"),
    details = $(".stage-details"),
    notes = $(".stage-notes");
  const task = element.closest(".easel-task");
  groups(task, about.task);
  const nextKey = "next-" + about.task;
  let shown = null,
    several = [],
    state = "";
  let next = recall(nextKey, []); // jobs to show after this one
  const heard = new Set(); // jobs that "Add another" has added
  const ASK_MS = 1000;
  let awaited = ""; // the job that waits for the server
  let looked = ""; // the job whose pictures were put on show last
  let passed = ""; // the job after whose end the next one was asked for
  let begun = { job: "", of: null }; // the picture that the form had when the job on show began

  const use = () => {
    element.dataset.used = "yes";
  }; // there is something to keep room for, for good
  const running = () => Boolean(task.dataset.running);

  // --- one picture, or all of a job ---
  function place(width, height) {
    // the picture's shape is there before the picture
    frame.style.setProperty("--ratio", width / height);
    const longer = Math.max(width, height); // small ones are enlarged, to look at
    frame.style.setProperty("--wide", (width * Math.max(longer, 768, Math.min(1024, 2 * longer))) / longer + "px");
  }

  function view(which) {
    // "empty", "one" or "grid"
    frame.dataset.view = which;
    full.hidden = which !== "one";
    grid.hidden = which !== "grid";
  }

  function describe(one, text, all = [one]) {
    const told = [...new Set(all.flatMap((each) => (each.notes || []).map((one) => JSON.stringify(one))))].map((one) =>
      JSON.parse(one),
    );
    notes.replaceChildren(...told.map((note) => node("li", {}, sentence(note))));
    notes.hidden = !told.length;
    setText($(".stage-facts"), text);
    setText(details.querySelector("pre"), one.parameters);
    element.dataset.told = "yes";
    onShow.picture = { task: about.task, ...one, seed: Number(one.facts.seed ?? one.seed) };
    strip.mark();
  }

  function untold() {
    delete element.dataset.told;
    notes.hidden = true;
  }

  function show(one) {
    use();
    shown = one;
    place(one.width, one.height);
    picture.src = one.look || one.url;
    setText(
      picture,
      one.prompt ? t("Picture of: {prompt}", { prompt: briefly(one.prompt) }) : t("The finished picture"),
      "alt",
    );
    view("one");
    describe(one, factsLine(one));
    stageActs(acts, one, {
      about,
      again,
      pictures: strip.all(),
      view: enlarge,
      whole: several.length > 1 ? showAll : null,
      number: several.length,
    });
  }

  function showAll() {
    const count = several.length;
    arrange(grid, frame, count, several[0].width / several[0].height);
    place(several[0].width, several[0].height);
    grid.dataset.going = "";
    const held = grid.contains(document.activeElement) ? document.activeElement.getAttribute("data-key") : "";
    grid.replaceChildren(
      ...several.map((one) => {
        const cell = node("button", {
          type: "button",
          "data-key": one.key,
          "aria-label": t("Picture with seed {seed}", { seed: one.seed }),
        });
        cell.append(node("img", { src: count > 4 ? one.thumbnail : one.look || one.url, alt: "" }));
        cell.addEventListener("click", () => {
          show(one);
          full.focus({ preventScroll: true });
        });
        const holder = node("div", { role: "listitem" });
        holder.append(cell);
        return holder;
      }),
    );
    if (held) grid.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
    shown = several[0];
    view("grid");
    describe(
      shown,
      factsLine(
        shown,
        several.map((one) => one.seed),
      ),
      several,
    );
    stageActsOfAll(acts, several, { about, again, view: enlarge });
  }

  function enlarge(one) {
    const all = strip.all();
    const pictures = all.some((other) => other.key === one.key) ? all : [one];
    openViewer(
      pictures,
      Math.max(
        0,
        pictures.findIndex((other) => other.key === one.key),
      ),
      {
        actions: stageActions({ about }),
        shown: (now) => {
          if (!running() && now.key) show(now); // what the strip does not know is only looked at
        },
      },
    );
  }

  let repeated = null; // the picture whose request was asked for once more, until that begins

  function again(one, vary) {
    // its own request, whatever the form says now: the form stays as it is
    repeated = one;
    trigger("again", { job: one.key.split("/")[0], seed: one.seed, parameters: one.parameters, vary });
  }

  function origin(job) {
    // the picture that the form's jobs are made of, as it was when this one began
    if (job === begun.job) return begun.of;
    begun = { job, of: repeated ? repeated.of : given(task.querySelector(".easel-source")) };
    repeated = null;
    return begun.of;
  }

  // --- the strip ---
  const strip = stageStrip($(".stage-strip"), "strip-" + about.task, {
    shown: () => shown,
    choose(one) {
      if (running()) enlarge(one);
      else {
        several = [];
        show(one);
      }
    },
    gone(keys, other) {
      several = several.filter((one) => !keys.includes(one.key));
      if (!shown || !keys.includes(shown.key) || running()) return;
      if (other) show(other);
      else nothing();
    },
    back(one) {
      if (!running()) show(one);
    },
    starred(ids, on) {
      if (shown && ids.includes(shown.id)) acts.querySelector(".stage-favourite")?.setAttribute("aria-pressed", on);
    },
  });

  const background = backgroundJobs("aside-" + about.task, trigger, ({ pictures, prompt }) =>
    strip.add(pictures, { prompt, of: null }, begun.job),
  );

  function nothing() {
    shown = null;
    acts.replaceChildren();
    untold();
    view("empty");
  }

  // --- before the first picture ---
  function empty() {
    sayModel($(".stage-model"), about.model && (usual.value.model ?? about.model));
    const examples = (usual.value.suggested[about.task] ?? about.examples).map((one) =>
      typeof one === "string" ? { prompt: one } : one,
    );
    const cards = examples.length > 0 && examples.every((one) => one.picture);
    $(".stage-hint").replaceChildren(
      node("span", {}, named(about.hint)),
      " ",
      cards ? node("span", {}, t("Or start with one of these:")) : "",
    );
    $(".stage-examples").dataset.look = cards ? "cards" : "chips";
    $(".stage-examples").replaceChildren(
      ...examples.map(({ prompt, picture: url, seed }) => {
        const card = node("button", { type: "button", title: t("Paint this") });
        if (cards) card.append(node("img", { src: url, alt: "", loading: "lazy" }));
        card.append(node("span", { translate: "no" }, prompt));
        card.addEventListener("click", () => {
          use();
          trigger("example", { prompt, seed: seed ?? null });
        });
        return card;
      }),
    );
  }

  const takes = about.sends.some(([name]) => name === about.task);
  const offer = () => {
    const free = takes && frame.dataset.view === "empty" && !given(task.querySelector(".easel-source"));
    if (free) stageOffer($(".stage-hint"), $(".stage-examples"), about);
  };

  // --- a job ---
  function goOn() {
    const [job, ...rest] = next;
    next = rest;
    remember(nextKey, next);
    remember("job-" + about.task, job);
    trigger("follow", { job });
  }

  async function comeBack(job) {
    // when the server does
    awaited = job;
    do await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    while (awaited === job && (await serverOffline()));
    if (awaited !== job || !element.isConnected) return;
    awaited = ""; // it may be told once more that the server stops
    trigger("follow", { job });
  }

  const purposes = [
    ["interrupt", t("Keep each running picture as it stands, and begin no other")],
    ["skip-one", t("Give this picture up, and go on with the next")],
    ["cancel", t("End it; what is unfinished is thrown away")],
  ];
  function buttons(how) {
    // how the job goes: "" when there is none to wait for
    const before = document.activeElement;
    if (how) {
      task.dataset.running = how;
      for (const [button, does] of purposes) setText(task.querySelector(`.easel-${button}`), does, "title");
    } else delete task.dataset.running;
    if (!before?.closest(".easel-go") || !task.contains(before) || before.offsetParent) return;
    const swaps = [".easel-resume", ".easel-pause", ".easel-generate", ".easel-cancel"].map((one) =>
      task.querySelector(one),
    );
    swaps.find((one) => one.offsetParent)?.focus();
  }

  function tell(value, going, between) {
    // the bar and the line
    const said = between ? t("Waiting") : sentence(value.line);
    setText(line, going && next.length ? t("{line} · {number} more added", { line: said, number: next.length }) : said);
    const part = Math.round(100 * (value.progress || 0));
    progress.setAttribute("aria-valuenow", part);
    setText(progress, said, "aria-valuetext");
    progress.firstElementChild.style.width = 100 * (value.progress || 0) + "%";
    if (value.state !== state) {
      state = value.state;
      if (value.job) serverOffline(); // the foot counts it at once
      const aloud = going && state !== "paused" ? t("Painting") : said;
      setText(spoken, state === "empty" ? "" : aloud);
    }
    return part;
  }

  // Jobs that "Add another" has added, some of them for the first time.
  /** @param {string[] | undefined} jobs */
  function hear(jobs) {
    const fresh = (jobs || []).filter((job) => !heard.has(job));
    if (!fresh.length) return;
    for (const job of fresh) heard.add(job);
    next = [...next, ...fresh];
    remember(nextKey, next);
  }

  /** @type {any} */
  let told = {};
  function draw() {
    told = heldValue(props.value, "state", told);
    const value = told;
    hear(value.added);
    const going = ["queued", "running", "paused"].includes(value.state);
    const stopped = value.state === "stopped"; // with the server: it goes on with it, and so do those after it
    if (passed !== value.job) passed = "";
    const between = !going && !stopped && Boolean(value.job) && (next.length > 0 || Boolean(passed));
    if (between && !passed) {
      passed = value.job;
      goOn();
    }
    const busy = going || between;
    if (value.job) background.ask(value.overtaken || []);
    buttons(going ? value.state : between ? "queued" : "");
    const was = state;
    const part = tell(value, going, between);
    element.dataset.state = stopped || value.state === "paused" ? "paused" : busy ? "running" : "ended";
    progress.dataset.waiting = busy && !value.progress && value.state !== "paused" ? "yes" : "";
    titlePage(about.task, busy ? part : null);
    if (value.job && !passed) remember("job-" + about.task, value.job);

    const made = value.pictures || [];
    const fresh = strip.add(made, { prompt: value.prompt, of: value.job ? origin(value.job) : null });
    if (stopped) {
      // the rest stays as it is
      if (value.job !== awaited) comeBack(value.job);
      return;
    }
    awaited = "";
    if (between) return; // the next one is shown in a moment
    if (busy && value.width) {
      use();
      place(value.width, value.height);
      acts.replaceChildren();
      untold();
      if (value.number > 1) {
        arrange(grid, frame, value.number, value.width / value.height);
        drawGoing(grid, cellsOf(value), (key) => {
          const one = strip.all().find((other) => other.key === key);
          if (one) enlarge(one);
        });
        view("grid");
        return;
      }
      view("one");
      full.disabled = true;
      full.dataset.blank = value.preview ? "" : "yes";
      if (value.preview) {
        picture.src = value.preview;
        setText(picture, t("Preview"), "alt");
      }
      return;
    }
    full.disabled = false;
    full.dataset.blank = "";
    if (made.length) {
      if (!fresh.length && shown && was === state && looked === value.job) return; // as it is
      looked = value.job;
      several = made.map(strip.find).filter(Boolean);
      if (several.length > 1) showAll();
      else if (several.length) show(several[0]);
    } else if (["done", "cancelled", "failed"].includes(value.state)) {
      if (shown) show(shown);
      else nothing();
    } else if (!shown) view("empty");
  }

  // --- room: the frame is as high as the window lets it be, whatever is in it ---
  function measure() {
    if (frame.offsetWidth) frame.style.setProperty("--stage-wide", frame.offsetWidth + "px"); // no higher than wide
    if (scrollY === 0 && frame.offsetParent) {
      const top = Math.round(frame.getBoundingClientRect().top);
      frame.style.setProperty("--stage-top", top + "px");
    }
  }
  new IntersectionObserver((entries) => {
    measure();
    if (entries.at(-1).isIntersecting) offer();
  }).observe(frame);
  addEventListener("resize", measure);
  new MutationObserver(measure).observe(task, { attributeFilter: ["data-room"] }); // the frame has gone elsewhere
  new ResizeObserver(() => shorten(acts)).observe(acts);
  measure();

  task.addEventListener(
    "click",
    (event) => {
      if (!event.target.closest(".easel-generate")) return;
      repeated = null;
      use();
      if (matchMedia("(max-width: 760px)").matches) frame.scrollIntoView({ block: "nearest" }); // it may stand below the fold
    },
    true,
  );
  full.addEventListener("click", () => {
    if (shown) enlarge(shown);
  });
  details.querySelector("summary").addEventListener("click", (event) => {
    if (!element.dataset.told) event.preventDefault();
  });

  if (strip.all().length) use();
  effect(empty);
  view("empty");
  watch("value", draw);
  watch("collected", () => background.take(JSON.parse(props.collected || "{}")));
  watch("added", () => {
    hear(props.added);
    draw();
  });
  draw();

  opensPictures(about.task, async (id) => {
    const one = strip.all().find((other) => other.id === id) ?? (await pictureAt(id));
    if (one) enlarge(one);
  });

  stages[about.task] = (job) => {
    next = []; // whoever opens a job wants to see that one; the others are in the queue
    begun = { job, of: null }; // of what it is made the form does not know
    remember(nextKey, next);
    looked = "";
    if (told.job === job) draw(); // another picture may have been chosen since
    trigger("follow", { job });
  };
  const wanted = asked[about.task];
  const last = recall("job-" + about.task, "");
  if (wanted) showJob(about.task, wanted);
  else if (last) trigger("follow", { job: last }); // after a reload
}

// A picture's settings in one line; of several pictures the first and last seed.
export function factsLine(one, seeds = [one.facts.seed ?? one.seed]) {
  const { sampler, steps, cfg, strength, model } = one.facts;
  const values = { sampler, steps, cfg, strength, seed: seeds[0], last: seeds[seeds.length - 1] };
  return joined(" · ", [
    `${one.width} × ${one.height}`,
    sampler && steps && t("{sampler}, {steps} steps", values),
    cfg && t("CFG {cfg}", values),
    strength && t("strength {strength}", values),
    seeds.length > 1 && seeds[0] !== seeds[seeds.length - 1]
      ? t("seeds {seed} to {last}", values)
      : sampler && t("seed {seed}", values),
    model,
  ]);
}
