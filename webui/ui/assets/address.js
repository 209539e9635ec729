// Where in the page somebody is, as the browser's history knows it: a tab, and what lies over it. Every tab has an address
// (`#gallery`), a picture in full screen too (`#gallery/12`, by its number in the gallery). Back closes what lies over the
// page, the last first, then goes to the tab before. Knows neither Gradio nor what is opened.
//
// The page says what is there (`enter`, `cover`), `#follow` makes the history like it; when the browser says where it went
// (`arrive`), the page is made like that. So nobody needs to know who was first.

/** @typedef {{ tab: string, depth: number, picture: string }} Entry `depth` things lie over the tab */
/** @typedef {{ close: () => unknown, picture: string }} Layer */
/**
 * What the page is made of, and the browser. `choose` shows a tab, `open` a picture in a tab, where it is.
 * @typedef {{ history: Pick<History, "state" | "pushState" | "replaceState" | "go">, choose: (tab: string) => void,
 *   open: (tab: string, picture: string) => Promise<void> }} World
 */

const OWN = "easel-"; // begins the names of tabs that a task's could be like
const LEAF_MS = 200; // pictures that are leafed through faster get no address

/** @param {string} tab @param {string} [picture] */
export const addressOf = (tab, picture = "") =>
  "#" + encodeURIComponent(tab.startsWith(OWN) ? tab.slice(OWN.length) : tab) + (picture && "/" + picture);

/**
 * @param {string} hash
 * @param {string[]} tabs all that there are
 * @returns {{ tab: string, picture: string } | null} null where it is the address of none of them
 */
export function placeAt(hash, tabs) {
  const found = /^#([^/]+)(?:\/(\d+))?$/.exec(hash);
  if (!found) return null;
  let name = found[1];
  try {
    name = decodeURIComponent(name);
  } catch {
    return null; // a % without its two digits
  }
  const tab = [name, OWN + name].find((one) => tabs.includes(one));
  return tab ? { tab, picture: found[2] ?? "" } : null;
}

export class Address {
  /** @type {World | null} */
  #world = null;
  /** @type {Layer[]} */
  #layers = [];
  /** @type {string[]} */
  #tabs = [];
  #tab = "";
  #walking = false; // the tabs were gone through by keys, and the last is one of them
  #going = false; // the browser is on its way back, because something was closed
  #opening = 0; // pictures that are under way
  #asked = false; // to be followed
  #timer = 0;

  /**
   * The page is there: it shows `tab` of `tabs`, its address ends with `hash`. `last` is the tab of before, for an address that
   * says none.
   * @param {World} world @param {{ tabs: string[], tab: string, hash: string, last?: string }} page
   */
  begin(world, { tabs, tab, hash, last = "" }) {
    this.#world = world;
    this.#tabs = tabs;
    this.#tab = tab;
    const was = this.#entry();
    if (was && tabs.includes(was.tab)) {
      this.#turn(was.tab); // the page was loaded anew
      this.#uncover(was);
      return;
    }
    const asked = placeAt(hash, tabs) ?? { tab: tabs.includes(last) ? last : tab, picture: "" };
    const plain = !hash && asked.tab === tab;
    this.#turn(asked.tab);
    this.#write(false, { depth: 0, picture: "" }, plain ? "" : addressOf(asked.tab));
    this.#open(asked.picture);
  }

  /** Another tab is on show. @param {string} tab @param {boolean} [walking] */
  enter(tab, walking = false) {
    if (tab === this.#tab) return;
    this.#tab = tab;
    const on = this.#walking && walking; // one step of the way, however many tabs
    this.#walking = walking;
    this.#opening = 0;
    if (on && !this.#layers.length && !this.#going && this.#entry()?.depth === 0)
      this.#write(false, { depth: 0, picture: "" }, addressOf(tab));
    this.#follow();
  }

  /**
   * Something lies over the page from now on. Gives `picture(number)`, which it shows, and `gone()`, when it is closed.
   * @param {() => unknown} close
   */
  cover(close) {
    /** @type {Layer} */
    const layer = { close, picture: "" };
    this.#layers.push(layer);
    this.#follow();
    return {
      picture: (/** @type {string | number | null | undefined} */ id) => {
        const changed = layer.picture !== "";
        layer.picture = String(id ?? "");
        clearTimeout(this.#timer);
        if (changed) this.#timer = Number(setTimeout(() => this.#follow(), LEAF_MS));
        else this.#follow();
      },
      gone: () => {
        const at = this.#layers.indexOf(layer);
        if (at >= 0) this.#layers.splice(at, 1);
        this.#follow();
      },
    };
  }

  /** The browser has gone somewhere, or somebody has written an address. @param {string} hash */
  arrive(hash) {
    const to = this.#entry();
    if (this.#going) {
      this.#going = false;
      this.#follow();
      return;
    }
    this.#walking = false;
    if (to) {
      this.#close(to.depth);
      this.#turn(this.#tabs.includes(to.tab) ? to.tab : this.#tab);
      this.#uncover(to);
      return;
    }
    const asked = placeAt(hash, this.#tabs) ?? { tab: this.#tab, picture: "" };
    this.#close(0);
    this.#turn(asked.tab);
    this.#write(false, { depth: 0, picture: "" }, addressOf(asked.tab));
    this.#open(asked.picture);
  }

  // --- Inside ------------------------------------------------------------------------------------

  /** @returns {Entry | null} */
  #entry() {
    return this.#world?.history.state?.easel ?? null;
  }

  /** @param {boolean} more @param {{ depth: number, picture: string }} what @param {string} hash */
  #write(more, what, hash) {
    const state = { easel: { tab: this.#tab, ...what } };
    const address = hash || globalThis.location?.pathname + globalThis.location?.search;
    if (more) this.#world?.history.pushState(state, "", hash);
    else this.#world?.history.replaceState(state, "", address);
  }

  /** @param {string} tab */
  #turn(tab) {
    if (tab === this.#tab) return;
    this.#tab = tab;
    this.#world?.choose(tab);
  }

  /** What lies over the page is closed, but for the first `depth`. @param {number} depth */
  #close(depth) {
    for (const layer of this.#layers.splice(depth).reverse()) layer.close();
  }

  /** What lay over the page in an entry is opened again: a picture can be, nothing else. @param {Entry} entry */
  #uncover({ depth, picture }) {
    if (depth && picture && !this.#layers.length) this.#open(picture);
    else this.#follow();
  }

  /** @param {string} picture */
  async #open(picture) {
    if (!picture) return;
    const own = ++this.#opening;
    await this.#world?.open(this.#tab, picture);
    if (own !== this.#opening) return;
    this.#opening = 0;
    this.#follow();
  }

  #picture() {
    return this.#layers.findLast((one) => one.picture)?.picture ?? "";
  }

  #follow() {
    if (this.#asked) return;
    this.#asked = true; // all that changes at once is one step
    queueMicrotask(() => {
      this.#asked = false;
      this.#step();
    });
  }

  #step() {
    const at = this.#entry();
    if (!this.#world || !at || this.#going || (this.#opening && !this.#layers.length)) return;
    const depth = this.#layers.length;
    if (at.depth > depth) {
      this.#going = true;
      this.#world.history.go(depth - at.depth);
      return;
    }
    let from = at.depth;
    if (at.tab !== this.#tab) {
      this.#write(true, { depth: 0, picture: "" }, addressOf(this.#tab));
      from = 0;
    }
    const picture = this.#picture();
    const address = addressOf(this.#tab, picture);
    for (let more = from + 1; more <= depth; more++) this.#write(true, { depth: more, picture }, address);
    if (depth && this.#entry()?.picture !== picture) this.#write(false, { depth, picture }, address);
  }
}

export const address = new Address();

// --- Pictures by their address ---------------------------------------------------------------------

const OPENS_MS = 10000; // that a tab may take until it is there

/** @type {Map<string, (picture: number) => Promise<void> | void>} */
const openers = new Map();
/** @type {Map<string, () => void>} */
const waiting = new Map();

/** A tab's pictures are opened by `open`. @param {string} tab @param {(picture: number) => Promise<void> | void} open */
export function opensPictures(tab, open) {
  openers.set(tab, open);
  waiting.get(tab)?.();
}

/** @param {string} tab @param {string} picture */
export async function openPicture(tab, picture) {
  if (!openers.has(tab)) {
    await new Promise((/** @type {(value?: any) => void} */ there) => {
      waiting.set(tab, there);
      setTimeout(there, OPENS_MS);
    });
  }
  await openers.get(tab)?.(Number(picture));
}
