// Which texts may be settings. Whether one is, Python says (webui/texts): this only spares it every other paste. No elements.

const KEYS =
  /(^|[\s,{])"?(steps"?\s*:\s*"?\d|(seed|cfg[ _]?scale|sampler(_name)?|size)"?\s*:\s*"?[\w-]|negative[ _]prompt"?\s*:)/i;

/** Whether Python is to be asked if a text is settings. @param {string} text */
export const maySettings = (text) => KEYS.test(text);
