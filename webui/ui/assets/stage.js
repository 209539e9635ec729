// The place where pictures appear. Draws what Python says of a job (webui/ui/stage.py); keeps this tab's strip.
"use strict";
window.Easel = window.Easel || {};

Easel.stage = function (element, trigger, props, watch, about) {
  const $ = (selector) => element.querySelector(selector);
  const frame = $(".stage-frame"), full = $(".stage-full"), picture = $(".stage-picture");
  const bar = $(".stage-bar"), line = $(".stage-line"), spoken = $("[aria-live]");
  const strip = $(".stage-strip"), acts = $(".stage-acts"), details = $(".stage-details");
  const task = element.closest(".easel-task");
  const key = "strip-" + about.task;
  let pictures = Easel.recall(key, []);
  let shown = null, state = "";

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

  function draw() {
    const value = props.value || {};
    const running = ["queued", "running", "paused"].includes(value.state);
    const before = document.activeElement;
    if (running) task.dataset.running = "yes"; else delete task.dataset.running;
    const swap = task.querySelector(running ? ".easel-cancel" : ".easel-generate");
    if (before && before.matches(".easel-cancel, .easel-generate")) swap?.focus();

    frame.dataset.state = value.state || "empty";
    line.textContent = value.line || "";
    bar.hidden = !running;
    bar.setAttribute("aria-valuenow", Math.round(100 * (value.progress || 0)));
    bar.firstElementChild.style.width = 100 * (value.progress || 0) + "%";
    bar.dataset.waiting = running && !value.progress ? "yes" : "";
    if (value.job) Easel.remember("job-" + about.task, value.job);
    if (value.state !== state) {
      state = value.state;
      spoken.textContent = state === "empty" ? "" : (running ? "Painting" : value.line || "");
    }
    const fresh = add(value.pictures || [], value.prompt);
    if (running) {
      place(value.width, value.height);
      acts.replaceChildren();
      details.hidden = true;
      full.removeAttribute("href");
      full.hidden = !value.preview;
      if (value.preview) { picture.src = value.preview; picture.alt = "Preview"; }
    } else if ((value.pictures || []).length) {
      if (fresh.length || !shown || state !== "empty") show(value.pictures[0]);
    } else if (value.state === "cancelled" || value.state === "failed") {
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
  draw();
};
