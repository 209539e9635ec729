// Questions to our own HTTP API.

import { sentence, t } from "./i18n.js";

/**
 * Why a route of ours refused something, from its answer.
 * @type {(told: { said?: unknown, error?: string }) => string | undefined}
 */
export const reason = ({ said, error }) => (said ? sentence(said) : error);

/**
 * JSON from a route of ours. Throws an Error whose message is a sentence for people.
 * @param {string} path
 * @param {string} [method]
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function ask(path, method = "GET", body = undefined) {
  let answer;
  try {
    const headers = body ? { "Content-Type": "application/json" } : {};
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error(t("The server does not answer."));
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(reason(said) || t("The server did not answer."));
  return said;
}
