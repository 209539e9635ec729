// The gallery: everything under outputs/, by our own HTTP API (webui/http/pictures.py).
"use strict";
window.Easel = window.Easel || {};
