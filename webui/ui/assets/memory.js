// What this browser tab remembers over a reload. The browser keeps a copy of what was remembered last: a tab that begins with
// nothing begins with that, so that closing the page and opening it again is like a reload.

const OWN = "easel-";
const LAST = "easel-last-";
const OWNER = "easel-last"; // the tab whose copy it is
const me = Math.random().toString(36).slice(2);

/** @param {Storage} store @param {string} begins */
const keysOf = (store, begins) =>
  Array.from({ length: store.length }, (_, at) => store.key(at)).filter((key) => key.startsWith(begins));

function begin() {
  try {
    if (keysOf(sessionStorage, OWN).length) return;
    for (const key of keysOf(localStorage, LAST))
      sessionStorage.setItem(OWN + key.slice(LAST.length), localStorage.getItem(key));
  } catch {
    /* private mode */
  }
}

/** The copy is of one tab: what another one remembered goes. @param {string} key @param {string} value */
function copy(key, value) {
  if (localStorage.getItem(OWNER) !== me) {
    for (const old of keysOf(localStorage, LAST)) localStorage.removeItem(old);
    for (const own of keysOf(sessionStorage, OWN))
      localStorage.setItem(LAST + own.slice(OWN.length), sessionStorage.getItem(own));
    localStorage.setItem(OWNER, me);
  }
  localStorage.setItem(LAST + key, value);
}

begin();

/**
 * Per-tab memory that survives a reload, and the tab's end; a browser that forbids it forgets.
 * @param {string} key
 * @param {unknown} value anything that JSON can say
 */
export function remember(key, value) {
  try {
    const text = JSON.stringify(value);
    if (sessionStorage.getItem(OWN + key) === text) return;
    sessionStorage.setItem(OWN + key, text);
    copy(key, text);
  } catch {
    /* private mode, or no room */
  }
}

/**
 * What was remembered, else `otherwise`.
 * @template T
 * @param {string} key
 * @param {T} otherwise
 * @returns {T}
 */
export function recall(key, otherwise) {
  try {
    return JSON.parse(sessionStorage.getItem(OWN + key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}
