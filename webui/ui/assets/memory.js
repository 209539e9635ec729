// What this browser tab remembers over a reload.

// Per-tab memory that survives a reload; a browser that forbids it forgets.
export function remember(key, value) {
  try {
    sessionStorage.setItem("easel-" + key, JSON.stringify(value));
  } catch {
    /* private mode */
  }
}

export function recall(key, otherwise) {
  try {
    return JSON.parse(sessionStorage.getItem("easel-" + key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}
