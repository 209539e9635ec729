// What the chosen model draws, said where pictures will appear, and the way to other models.

import { node } from "./dom.js";
import { tabsOf } from "./gradio.js";
import { sentence, t } from "./i18n.js";
import { openDownloads } from "./models.js";

/** @typedef {{ name: string, draws: any, narrow: boolean }} Told */

/**
 * Says in `place` what a model draws: a sentence of ours, or what somebody wrote beside it.
 * @param {HTMLElement} place
 * @param {Told | null} told by webui/ui/model_line.py; null where there is nothing to say
 */
export function sayModel(place, told) {
  place.hidden = !told;
  if (!told) return place.replaceChildren();
  const ours = Array.isArray(told.draws);
  const more = node(
    "button",
    { type: "button", class: "stage-more" },
    told.narrow ? t("Get a model that draws anything") : t("More models"),
  );
  more.addEventListener("click", openDownloads);
  more.hidden = !tabsOf(document.querySelector(".easel-tabs")).some((one) => one.id === "models");
  place.replaceChildren(
    told.name ? node("b", { translate: "no" }, told.name + ":") : "",
    " ",
    node("span", ours ? {} : { translate: "no" }, sentence(told.draws)),
    " ",
    more,
  );
}
