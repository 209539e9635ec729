// PNG info: what a picture says of how it was made.
"use strict";
window.Easel = window.Easel || {};
