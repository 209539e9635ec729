// The bar of tabs: the address says which is chosen, arrow keys go from one to the next.

import { address, openPicture } from "./address.js";
import { chooseTab, onTabs, tabsOf } from "./gradio.js";
import { recall, remember } from "./memory.js";

/** As soon as Gradio has drawn the page. */
export function tabs() {
  const root = document.querySelector(".easel-tabs");
  const now = () => tabsOf(root).find((one) => one.chosen);
  const world = {
    history,
    choose: (/** @type {string} */ id) => chooseTab(root, id),
    open: openPicture,
  };
  history.scrollRestoration = "manual"; // closing what lies over the page moves nothing
  address.begin(world, {
    tabs: tabsOf(root).map((one) => one.id),
    tab: now()?.id ?? "",
    hash: location.hash,
    last: recall("tab", ""),
  });
  addEventListener("popstate", () => address.arrive(location.hash));
  onTabs(root, () => {
    const chosen = now();
    if (!chosen) return;
    address.enter(chosen.id);
    remember("tab", chosen.id);
    inSight(chosen.tab);
  });
  addEventListener("resize", () => inSight(now()?.tab));
}

// On a phone the bar scrolls: the chosen tab is always in sight.
/** @param {HTMLElement | undefined} tab */
function inSight(tab) {
  if (!tab) return;
  const bar = tab.parentElement,
    at = tab.getBoundingClientRect(),
    of = bar.getBoundingClientRect();
  bar.scrollLeft += at.left + at.width / 2 - of.left - of.width / 2;
}
