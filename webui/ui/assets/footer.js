// The page's foot: model, device, attention, queue, versions.
"use strict";
window.Easel = window.Easel || {};
