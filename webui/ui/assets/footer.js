// The page's foot: model, device, attention, queue, versions. Asks every few seconds while it can be seen.

import { setText } from "./dom.js";
import { model as chosen } from "./forms.js";
import { openApiView, takeApiView } from "./gradio.js";
import { named, t } from "./i18n.js";
import { lookWith, server, serverOffline } from "./server-status.js";
import { effect } from "./signals.js";
import { theme } from "./theme.js";

export const explains = takeApiView(); // `?view=api`

export function footer(element, trigger) {
  const EVERY_MS = 5000,
    MODEL_MS = 60_000,
    READ_MS = 10_000,
    PATIENCE_MS = 10_000;
  const foot = element.querySelector(".easel-foot");
  const place = (name) => foot.querySelector(`.foot-${name}`);
  const word = (said) => said.split(" (")[0];
  const reason = (said) => (said.match(/\((.*)\)$/s) || ["", ""])[1];
  let asked = "",
    askedAt = -Infinity,
    seen = true,
    timer = 0,
    early = 10;

  function put(name, text, why = "") {
    const one = place(name);
    setText(one, text);
    setText(one, why, "title");
    one.hidden = !text;
  }

  function draw(told) {
    const starts = told.device === told.attention; // all three say what it waits for
    if (!starts && !server.engineStarted.value) {
      // the first model is read a little later
      server.engineStarted.value = 1;
      setTimeout(() => {
        server.engineStarted.value = 2;
      }, READ_MS);
    }
    put("engine", starts ? named(told.device) : "");
    for (const name of ["device", "dtype", "attention"])
      put(name, starts ? "" : word(told[name]), starts ? "" : reason(told[name]));
    if (told.model) {
      const { name, family, hash } = told.model;
      put("model", name, hash ? `${name} [${hash}]` : name);
      put("family", [family, hash?.slice(0, 10)].filter(Boolean).join(" · "));
    }
    const { running, waiting } = told;
    put(
      "queue",
      !running && !waiting
        ? t("Queue empty")
        : !waiting
          ? t("{running} running", { running })
          : running
            ? t("{running} running, {waiting} waiting", { running, waiting })
            : t("{waiting} waiting", { waiting }),
    );
    const versions = Object.entries(told.versions).map(([name, version]) => `${name} ${version}`);
    put("version", versions[0], versions.join("\n"));
  }

  function away() {
    foot.dataset.away = "yes";
    put("engine", t("The server does not answer"));
    put("queue", ""); // nobody knows it
  }

  function back() {
    if (!foot.dataset.away) return;
    foot.dataset.away = "";
    put("engine", "");
    document.dispatchEvent(new CustomEvent("easel-back"));
  }

  async function ask() {
    const model = chosen.value || "";
    const fresh = model && (model !== asked || performance.now() - askedAt > MODEL_MS);
    try {
      const query = fresh ? `?model=${encodeURIComponent(model)}` : "";
      const answer = await fetch("api/state" + query, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
      const proxy = answer.status >= 502; // it says so in the server's place
      if (proxy) away();
      else back();
      if (!answer.ok) return proxy;
      if (fresh) {
        asked = model;
        askedAt = performance.now();
      }
      draw(await answer.json());
      return false;
    } catch (fault) {
      away();
      return fault.name !== "TimeoutError"; // it may only be slow
    }
  }
  lookWith(ask);

  function again() {
    clearTimeout(timer);
    timer = setTimeout(
      async () => {
        if (!element.isConnected) return;
        if (!document.hidden && (seen || !asked || foot.dataset.away)) await serverOffline();
        again();
      },
      place("engine").textContent || (!asked && early-- > 0) ? 1000 : EVERY_MS,
    );
  }

  new IntersectionObserver((entries) => {
    const before = seen;
    seen = entries.at(-1).isIntersecting;
    if (seen && !before) serverOffline();
  }).observe(foot);
  document.addEventListener("easel-language", serverOffline);
  let drawn = false;
  effect(() => {
    chosen.value;
    if (drawn) serverOffline();
    drawn = true;
  });
  if (explains) openApiView();
  place("queue").addEventListener("click", () => trigger("queue", {}));
  theme.apply();
  serverOffline().then(again);
}
