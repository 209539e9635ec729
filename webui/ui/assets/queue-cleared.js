// Which ended jobs somebody has cleared away: those that had ended by then, in this browser. They are still known, and
// their pictures are in the gallery.

const KEY = "easel-queue-cleared";

// Up to when, in seconds of the server's clock since 1970; 0 for never.
export function clearedUntil() {
  try {
    return Number(localStorage.getItem(KEY)) || 0;
  } catch {
    return 0;
  }
}

/** @param {number} until_s */
export function clearUntil(until_s) {
  try {
    localStorage.setItem(KEY, String(until_s));
  } catch {
    /* private mode */
  }
}
