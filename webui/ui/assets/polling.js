// Asking the server anew while somebody can see the answer.

export const REFRESH_MS = 3000;

/**
 * Calls `ask` every few seconds while `seen()`, unless the server is away: Gradio would say so each time.
 * @param {Element} element
 * @param {() => boolean} seen
 * @param {() => void} ask
 * @param {number} every_ms
 */
export function every(element, seen, ask, every_ms = REFRESH_MS) {
  const timer = setInterval(async () => {
    if (!element.isConnected) {
      clearInterval(timer);
      return;
    }
    if (document.hidden || !seen()) return;
    try {
      const there = await fetch("robots.txt", { cache: "no-store" });
      if (there.status < 500) ask();
    } catch {
      /* the next time, then */
    }
  }, every_ms);
}
