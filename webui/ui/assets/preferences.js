// The settings.
"use strict";
window.Easel = window.Easel || {};
