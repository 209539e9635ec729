// Which addresses are pictures of this page. No elements.

import { uploadAt } from "./gradio.js";

/**
 * The page's own picture behind an address; null for anything else. No other host is ever asked.
 * @param {string} address
 * @param {string} page the page's own
 * @returns {{ path: string, url: string } | null}
 */
export function ownPicture(address, page = document.baseURI) {
  let url;
  try {
    url = new URL(address, page);
  } catch {
    return null;
  }
  const root = new URL(".", page);
  if (url.origin !== root.origin || !url.pathname.startsWith(root.pathname)) return null;
  const rest = url.pathname.slice(root.pathname.length),
    path = uploadAt(rest);
  if (path !== null) return { path, url: rest };
  if (!/^api\/(pictures|jobs)\//.test(rest)) return null;
  return { path: "", url: rest.replace(/\/thumbnail$/, "/file") + url.search };
}
