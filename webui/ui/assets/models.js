// The models.
"use strict";
window.Easel = window.Easel || {};
