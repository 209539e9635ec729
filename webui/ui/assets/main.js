// What the page starts with. Python draws the components, and each names here what makes it live (`js_on_load`); Gradio runs
// that as a text of its own, so that these names are the one global of the page.

import { canvas } from "./canvas.js";
import { keyed } from "./dom.js";
import { extensions, note } from "./extensions.js";
import { footer } from "./footer.js";
import { asking, chosen, forms, put, request, restored, told } from "./forms.js";
import { gallery } from "./gallery.js";
import { info } from "./info.js";
import { modelsTab } from "./models.js";
import { limits, seedTools, shapes, swap } from "./numbers.js";
import { start } from "./page.js";
import { preferences } from "./preferences.js";
import { problem } from "./problems.js";
import { prompts } from "./prompt.js";
import { queue } from "./queue.js";
import { sending } from "./send-to.js";
import { stage } from "./stage.js";
import { loadStudio } from "./theme.js";

globalThis.Easel = Object.freeze({
  asking,
  canvas,
  chosen,
  extensions,
  footer,
  forms,
  gallery,
  info,
  keyed,
  limits,
  modelsTab,
  note,
  preferences,
  problem,
  prompts,
  put,
  queue,
  request,
  restored,
  seedTools,
  sending,
  shapes,
  stage,
  start,
  swap,
  told,
});
loadStudio();
