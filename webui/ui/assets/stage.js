// The place where pictures appear. Draws what Python says of a job (webui/ui/stage.py); keeps this tab's strip.
"use strict";
window.Easel = window.Easel || {};

Easel.stage = function (element, trigger, props, watch, about) {
  const $ = (selector) => element.querySelector(selector);
  const frame = $(".stage-frame"), full = $(".stage-full"), picture = $(".stage-picture");
  const bar = $(".stage-bar"), line = $(".stage-line"), spoken = $("[aria-live]");
  const strip = $(".stage-strip"), acts = $(".stage-acts"), details = $(".stage-details");
  const task = element.closest(".easel-task");
  const key = "strip-" + about.task, nextKey = "next-" + about.task;
  let pictures = Easel.recall(key, []);
  let shown = null, state = "";
  let next = Easel.recall(nextKey, []);  // jobs to show after this one
  let passed = "";  // the job after whose end the next one was asked for

  const button = (label, act, title) => {
    const made = Easel.node("button", { type: "button", title: title || "" }, label);
    made.addEventListener("click", act);
    return made;
  };

  function place(width, height) {  // the frame has the picture's shape before there is a picture
    frame.style.setProperty("--ratio", width / height);
    frame.style.setProperty("--wide", Math.max(width, width * 512 / Math.max(width, height)) + "px");
  }

  function show(one) {
    shown = one;
    place(one.width, one.height);
    picture.src = one.url;
    picture.alt = one.prompt ? "Picture of: " + one.prompt : "The finished picture";
    full.href = one.url;
    full.hidden = false;
    details.hidden = false;
    details.querySelector("summary").textContent = `${one.width} × ${one.height}, seed ${one.seed}`;
    details.querySelector("pre").textContent = one.parameters;
    const download = Easel.node("a", { href: one.url, download: one.name, role: "button" }, "Download");
    acts.replaceChildren(
      button("Again", () => trigger("again", { seed: -1 }), "The same with a new seed"),
      button("Keep seed", () => trigger("keep", { seed: one.seed }), "Put this picture's seed into the form"),
      ...about.sends.map(([name, label]) =>
        button("To " + label.toLowerCase(), () => trigger("send", { to: name, path: one.path, url: one.url,
          width: one.width, height: one.height }))),
      download,
    );
    for (const thumb of strip.children) thumb.setAttribute("aria-current", thumb.dataset.id === one.id);
  }

  function thumb(one) {
    const made = Easel.node("button", { type: "button", role: "listitem", "data-id": one.id,
      "aria-label": `Picture with seed ${one.seed}` });
    const image = Easel.node("img", { src: one.url, alt: "", loading: "lazy" });
    image.addEventListener("error", () => {  // the server was started anew: its links are gone
      pictures = pictures.filter((other) => other.id !== one.id);
      Easel.remember(key, pictures);
      made.remove();
    });
    made.append(image);
    made.addEventListener("click", () => { if (!task.dataset.running) show(one); });
    return made;
  }

  function add(found, prompt) {
    const fresh = found.filter((one) => !pictures.some((other) => other.id === one.id));
    for (const one of fresh) {
      one.prompt = prompt;
      pictures = [one, ...pictures].slice(0, 60);
      strip.prepend(thumb(one));
    }
    while (strip.children.length > 60) strip.lastChild.remove();
    if (fresh.length) Easel.remember(key, pictures);
    return fresh;
  }

  function empty() {
    $(".stage-hint").textContent = about.hint;
    $(".stage-examples").replaceChildren(...(props.suggested || about.examples).map((prompt) =>
      button(prompt, () => trigger("example", { prompt }), "Paint this")));
  }

  function goOn() {
    const [job, ...rest] = next;
    next = rest;
    Easel.remember(nextKey, next);
    Easel.remember("job-" + about.task, job);
    trigger("follow", { job });
  }

  function buttons(how) {  // how the job goes: "" when there is none to wait for
    const before = document.activeElement;
    if (how) task.dataset.running = how; else delete task.dataset.running;
    if (!before?.closest(".easel-go") || !task.contains(before) || before.offsetParent) return;
    const swaps = [".easel-resume", ".easel-pause", ".easel-generate", ".easel-cancel"].map((one) => task.querySelector(one));
    swaps.find((one) => one.offsetParent)?.focus();
  }

  function draw() {
    const value = props.value || {};
    const going = ["queued", "running", "paused"].includes(value.state);
    if (passed !== value.job) passed = "";
    const between = !going && Boolean(value.job) && (next.length > 0 || Boolean(passed));
    if (between && !passed) { passed = value.job; goOn(); }
    const running = going || between;
    buttons(going ? value.state : between ? "queued" : "");

    frame.dataset.state = value.state || "empty";
    line.textContent = (value.line || "") + (going && next.length ? ` · ${next.length} more added` : "");
    bar.hidden = !running;
    bar.setAttribute("aria-valuenow", Math.round(100 * (value.progress || 0)));
    bar.firstElementChild.style.width = 100 * (value.progress || 0) + "%";
    bar.dataset.waiting = running && !value.progress && value.state !== "paused" ? "yes" : "";
    if (value.job && !passed) Easel.remember("job-" + about.task, value.job);
    if (value.state !== state) {
      state = value.state;
      const said = running && state !== "paused" ? "Painting" : value.line || "";
      spoken.textContent = state === "empty" ? "" : said;
    }
    const fresh = add(value.pictures || [], value.prompt);
    if (running && value.width) {
      place(value.width, value.height);
      acts.replaceChildren();
      details.hidden = true;
      full.removeAttribute("href");
      full.hidden = !value.preview;
      if (value.preview) { picture.src = value.preview; picture.alt = "Preview"; }
    } else if ((value.pictures || []).length) {
      if (fresh.length || !shown || state !== "empty") show(value.pictures[0]);
    } else if (["done", "cancelled", "failed"].includes(value.state)) {
      if (shown) show(shown); else { full.hidden = true; frame.dataset.state = "empty"; }
    }
    if (frame.dataset.state !== "empty" && !running && !shown) frame.dataset.state = "empty";
  }

  details.querySelector("button").addEventListener("click", async (event) => {
    try {
      await navigator.clipboard.writeText(details.querySelector("pre").textContent);
      event.target.textContent = "Copied";
    } catch {
      event.target.textContent = "Select and copy by hand";  // plain http on another machine
    }
    setTimeout(() => { event.target.textContent = "Copy"; }, 1500);
  });

  for (const one of pictures) strip.append(thumb(one));
  empty();
  watch("suggested", empty);
  watch("value", draw);
  watch("added", () => {  // by "Add another"
    next = [...next, props.added];
    Easel.remember(nextKey, next);
    draw();
  });
  draw();

  Easel.stages[about.task] = (job) => {
    next = [];  // whoever opens a job wants to see that one; the others are in the queue
    Easel.remember(nextKey, next);
    trigger("follow", { job });
  };
  const asked = Easel.asked[about.task];
  if (asked) Easel.show(about.task, asked);
};

// Shows a job in a task's stage, as soon as that is drawn.
Easel.stages = {};
Easel.asked = {};
Easel.show = function (task, job) {
  delete Easel.asked[task];
  if (Easel.stages[task]) Easel.stages[task](job); else Easel.asked[task] = job;
};
