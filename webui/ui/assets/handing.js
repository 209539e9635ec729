// A picture, and how it was made, handed from one place of the page to a task's form.
"use strict";
window.Easel = window.Easel || {};
