// The bar of tabs: the address says which is chosen, arrow keys go from one to the next, and "More" lists those that there
// is no room for.

import { address, openPicture } from "./address.js";
import { node, setText } from "./dom.js";
import { besideTabs, chooseTab, onTabs, panelOf, tabsOf } from "./gradio.js";
import { t } from "./i18n.js";
import { recall, remember } from "./memory.js";
import { withMenu } from "./overlays.js";

const FIRST = ".easel-prompt textarea, button:not([tabindex='-1']), input, select, textarea, a[href], [tabindex='0']";

/** As soon as Gradio has drawn the page. */
export function tabs() {
  const root = document.querySelector(".easel-tabs");
  const now = () => tabsOf(root).find((one) => one.chosen);
  let walked = ""; // the tab that an arrow key has chosen
  const world = {
    history,
    choose: (/** @type {string} */ id) => chooseTab(root, id),
    open: openPicture,
  };
  history.scrollRestoration = "manual"; // closing what lies over the page moves nothing
  scrollBack();
  address.begin(world, {
    tabs: tabsOf(root).map((one) => one.id),
    tab: now()?.id ?? "",
    hash: location.hash,
    last: recall("tab", ""),
  });
  addEventListener("popstate", () => address.arrive(location.hash));

  const { bar, fit } = moreTabs(root);
  function changed() {
    const chosen = now();
    if (!chosen) return;
    // one stop of the Tab key: the chosen one
    for (const { tab } of tabsOf(root))
      if (tab.tabIndex !== (tab === chosen.tab ? 0 : -1)) tab.tabIndex = tab === chosen.tab ? 0 : -1;
    address.enter(chosen.id, walked === chosen.id);
    remember("tab", chosen.id);
    inSight(chosen.tab);
    fit();
  }
  onTabs(root, changed);
  changed();

  bar.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const all = tabsOf(root);
    const at = all.findIndex((one) => one.tab === event.target);
    const step = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || step === undefined) return;
    event.preventDefault();
    const to = all[(step + all.length) % all.length];
    walked = to.id;
    to.tab.focus({ preventScroll: true });
    chooseTab(root, to.id);
  });
  bar.addEventListener("pointerdown", () => {
    walked = "";
  });

  document.addEventListener("click", (event) => {
    // past the bar, to what can be done in the tab
    if (!event.target.closest?.(".easel-skip")) return;
    event.preventDefault();
    const seen = [...(panelOf(root)?.querySelectorAll(FIRST) ?? [])].find((one) => one.offsetParent);
    /** @type {HTMLElement | undefined} */ (seen)?.focus();
  });
}

const ROOM_MS = 5000; // until what was in the window is drawn again

/** After a reload the window shows what it showed before, unless somebody has scrolled already. */
function scrollBack() {
  addEventListener("pagehide", () => remember("scroll", scrollY));
  const [how] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
  const to = how?.type === "reload" ? recall("scroll", 0) : 0;
  if (!to) return;
  const ends = new AbortController();
  const grown = new ResizeObserver(() => {
    if (document.documentElement.scrollHeight < to + innerHeight) return;
    ends.abort();
    scrollTo({ top: to, behavior: "instant" });
  });
  ends.signal.addEventListener("abort", () => grown.disconnect());
  for (const kind of ["wheel", "keydown", "pointerdown"])
    addEventListener(kind, () => ends.abort(), { signal: ends.signal, passive: true });
  setTimeout(() => ends.abort(), ROOM_MS);
  grown.observe(document.body);
}

/** @param {HTMLElement | undefined} tab */
function inSight(tab) {
  if (!tab) return;
  const bar = tab.parentElement,
    at = tab.getBoundingClientRect(),
    of = bar.getBoundingClientRect();
  bar.scrollLeft += at.left + at.width / 2 - of.left - of.width / 2;
}

/**
 * The bar scrolls where it is narrow; at its end a menu lists the tabs that are not wholly in sight.
 * @param {Element} root
 */
function moreTabs(root) {
  const bar = tabsOf(root)[0].tab.parentElement;
  const button = node("button", { type: "button", class: "easel-more" });
  button.append(node("span", {}, t("More")), node("i", { "aria-hidden": "true" }));
  withMenu(button, t("More tabs"), (close) => {
    const of = bar.getBoundingClientRect();
    const hidden = tabsOf(root).filter(({ tab }) => {
      const at = tab.getBoundingClientRect();
      return at.left < of.left - 1 || at.right > of.right + 1;
    });
    return hidden.map(({ id, tab }) => {
      const choice = node("button", { type: "button", class: "easel-more-tab" }, tab.textContent.trim());
      choice.addEventListener("click", () => {
        close();
        chooseTab(root, id);
        tab.focus({ preventScroll: true });
      });
      return choice;
    });
  });
  besideTabs(root, button);

  function fit() {
    const all = tabsOf(root);
    const wide = all.at(-1).tab.getBoundingClientRect().right - all[0].tab.getBoundingClientRect().left;
    const room = bar.parentElement.clientWidth;
    if (!room) return;
    button.hidden = wide <= room;
    setText(bar, bar.scrollLeft > 1 ? "yes" : "", "data-before");
    setText(bar, bar.scrollLeft + bar.clientWidth < bar.scrollWidth - 1 ? "yes" : "", "data-after");
  }
  const sized = new ResizeObserver(() => {
    inSight(tabsOf(root).find((one) => one.chosen)?.tab);
    fit();
  });
  for (const one of [bar.parentElement, ...tabsOf(root).map(({ tab }) => tab)]) sized.observe(one); // a language changes them
  bar.addEventListener("scroll", fit, { passive: true });
  fit();
  return { bar, fit };
}
