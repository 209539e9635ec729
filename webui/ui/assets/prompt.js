// Prompt boxes: weights by keys, token counts, history, styles.
"use strict";
window.Easel = window.Easel || {};
