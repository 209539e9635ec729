// What this browser tab remembers over a reload.

/**
 * Per-tab memory that survives a reload; a browser that forbids it forgets.
 * @param {string} key
 * @param {unknown} value anything that JSON can say
 */
export function remember(key, value) {
  try {
    sessionStorage.setItem("easel-" + key, JSON.stringify(value));
  } catch {
    /* private mode */
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
    return JSON.parse(sessionStorage.getItem("easel-" + key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}
