// The page's words in the visitor's language.
"use strict";
window.Easel = window.Easel || {};

// A sentence of ours: `text` is English and its own key; {names} in it are filled in from `values`.
Easel.t = function (text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => values && name in values ? values[name] : whole);
};
