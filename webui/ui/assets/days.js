// Days as the Gallery counts them: local dates, `2026-11-20`. Numbers and texts only, no elements.

/**
 * An ISO day, in the visitor's own time zone.
 * @param {Date} date
 */
export function dayOf(date) {
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/**
 * The day so many days after (or before) an ISO day.
 * @param {string} day
 * @param {number} days
 */
export function later(day, days) {
  const date = new Date(day + "T12:00:00Z");
  date.setUTCDate(date.getUTCDate() + days);
  return date.toISOString().slice(0, 10);
}

/**
 * The days that a choice means, both ISO or "".
 * @param {{ when: string, from: string, to: string }} choice
 * @param {string} today
 * @returns {[string, string]}
 */
export function days({ when, from, to }, today) {
  const weekday = (new Date(today + "T12:00:00Z").getUTCDay() + 6) % 7; // Monday is 0
  switch (when) {
    case "today":
      return [today, ""];
    case "week":
      return [later(today, -weekday), ""];
    case "month":
      return [today.slice(0, 8) + "01", ""];
    case "days":
      return from && to && from > to ? [to, from] : [from, to];
    default:
      return ["", ""];
  }
}
