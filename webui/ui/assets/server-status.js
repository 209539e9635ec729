// What is known of the server: whether it answers, and how far its engine has started.

import { signal } from "./signals.js";

export const server = { offline: false, engineStarted: signal(0) };

let look = async () => false; // until the foot is drawn

/**
 * How the server is asked: gives whether it is away (assets/footer.js).
 * @param {() => Promise<boolean>} asks
 */
export function lookWith(asks) {
  look = asks;
}

// Asks whether the server is away; `server.offline` is what was answered last.
export async function serverOffline() {
  server.offline = await look();
  return server.offline;
}
