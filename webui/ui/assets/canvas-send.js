// What was painted goes to the server when a job is asked for, not before: a press on a button that starts one is held until
// mask and picture are there, then goes on. What has not changed since is not sent again.

export const senders = new Set(); // {element, given(), unsent(), send()} of each canvas

/**
 * The picture of the first canvas inside an element, as the viewer takes it; null where there is none.
 * @param {Element | null} place
 */
export function given(place) {
  const canvas = place && [...senders].find(({ element }) => element.isConnected && place.contains(element));
  return canvas ? canvas.given() : null;
}

// Sends what is painted and unsent on the page; false when that failed. Whoever starts jobs without a button waits for it.
export async function sendAll() {
  let sent = true;
  for (const one of senders) {
    if (!one.element.isConnected) senders.delete(one);
    else if (one.unsent() && !(await one.send())) sent = false;
  }
  return sent;
}

document.addEventListener(
  "click",
  async (event) => {
    const button = event.target.closest?.(".easel-generate, .easel-add, .easel-stage button");
    const task = button?.closest(".easel-task");
    if (!task || ![...senders].some((one) => task.contains(one.element) && one.unsent())) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (button.getAttribute("aria-busy")) return; // pressed twice
    button.setAttribute("aria-busy", "true");
    const sent = await sendAll();
    button.removeAttribute("aria-busy");
    if (sent && button.isConnected) setTimeout(() => button.click());
  },
  true,
);
