// Languages by their codes (BCP 47). Knows no page.

/** @type {(tag: string) => Intl.Locale | null} */
const whole = (tag) => {
  try {
    return new Intl.Locale(tag).maximize();
  } catch {
    return null;
  }
};

/**
 * The first of `codes` that is written and spoken like the first of `tags` that any of them is like; "" where none is.
 * @param {readonly string[]} tags
 * @param {string[]} codes
 */
export function fitting(tags, codes) {
  for (const tag of tags) {
    const mine = whole(tag);
    const fit = codes.find((code) => {
      const one = whole(code);
      return mine && one && one.language === mine.language && one.script === mine.script;
    });
    if (fit) return fit;
  }
  return "";
}
