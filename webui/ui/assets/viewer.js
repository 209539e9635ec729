// One picture over everything: full screen, keys, comparing.
"use strict";
window.Easel = window.Easel || {};
