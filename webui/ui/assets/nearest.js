// The nearest number that a control takes. No elements.

import { t } from "./i18n.js";

/**
 * The nearest number that a control takes, and why the given one is not it ("" where it is).
 * @param {number} given
 * @param {[string, number, number, number]} limit label, lowest, highest, step
 * @returns {[number, string]}
 */
export function nearest(given, [label, low, high, step]) {
  const values = { label, given, limit: given < low ? low : high };
  if (given < low) return [low, t("{label}: {given} is less than {limit}; set to {limit}", values)];
  if (given > high) return [high, t("{label}: {given} is more than {limit}; set to {limit}", values)];
  if (!step || given % step === 0) return [given, ""];
  const set = Math.min(
    Math.floor(high / step) * step,
    Math.max(Math.ceil(low / step) * step, Math.round(given / step) * step),
  );
  if (step === 1) return [set, t("{label}: {given} is not a whole number; set to {set}", { label, given, set })];
  return [set, t("{label}: {given} is not a multiple of {step}; set to {set}", { label, given, step, set })];
}
