// A picture that somebody gives and the mask painted over it (webui/ui/canvas.py): puts the parts together.

import { address } from "./address.js";
import { extendFrame } from "./canvas-extend.js";
import { fateShown } from "./canvas-fate.js";
import { decode, listen, prepare, Refused } from "./canvas-input.js";
import { createPainter } from "./canvas-painter.js";
import { greyPng } from "./canvas-png.js";
import { room } from "./canvas-room.js";
import { senders } from "./canvas-send.js";
import { createToolbar } from "./canvas-toolbar.js";
import { node, setText } from "./dom.js";
import { t } from "./i18n.js";

export function canvas(element, trigger, props, upload, watch, kind) {
  const sketch = kind === "sketch"; // colours alone, no mask
  const $ = (selector) => element.querySelector(selector);
  const drop = $(".canvas-drop"),
    input = $(".canvas-drop input"),
    body = $(".canvas-body"),
    remove = $(".canvas-remove");
  const note = $(".canvas-note"),
    image = $(".canvas-view img");
  const NOTHING = { image: null, mask: "", width: 0, height: 0 };
  let given = null; // {path, url} of the picture as it was given
  let known = []; // addresses in our value: that picture's, and that of the painted one
  let coming = null; // a promise while a picture is on its way
  let sent = { mask: 0, picture: 0 }; // the painter's versions that the server has
  let paint = null;
  const fate = fateShown(element, { where, own: () => refit(), outer: (size) => paint?.fit(size) });

  const value = () => props.value || NOTHING;

  function say(text, act, run) {
    delete note.dataset.wrong;
    note.replaceChildren(text);
    if (!act) return;
    const button = node("button", { type: "button" }, act);
    button.addEventListener("click", () => {
      note.replaceChildren();
      run();
    });
    note.append(" ", button);
  }

  function wrong(text) {
    say(text);
    note.dataset.wrong = "yes";
  }

  // --- The picture ---

  function begin(work) {
    // the newest picture wins
    const mine = (coming = work()
      .catch((problem) => {
        if (mine !== coming) return;
        if (!given) forget();
        wrong(
          problem instanceof Refused
            ? problem.message
            : t("The picture could not be read or uploaded; it may be larger than 64 MB."),
        );
      })
      .finally(() => {
        if (mine === coming) {
          coming = null;
          delete element.dataset.busy;
        }
        input.value = "";
      }));
    say("");
    element.dataset.busy = "yes";
    return (task) => {
      if (mine !== coming) throw new Refused("");
      return task;
    };
  }

  function take(file) {
    const still = begin(async () => {
      const { file: made, bitmap, note: told } = await prepare(file);
      const { path, url } = await upload(made);
      show({ path, url }, still(bitmap), true);
      if (told) say(told);
    });
  }

  function adopt(picture, mask, announce = true) {
    const still = begin(async () => {
      const reply = await fetch(picture.url);
      if (!reply.ok) throw new Refused(t("This picture is no longer there."));
      const bitmap = await decode(await reply.blob(), "");
      show(picture, still(bitmap), announce);
      if (mask && paint && !sketch) paint.take(await createImageBitmap(await (await fetch(mask.url || mask)).blob()));
    });
  }

  function show(picture, bitmap, announce) {
    const { width, height } = bitmap;
    given = picture;
    known = [picture.url];
    for (const [one, hidden] of [
      [drop, true],
      [body, false],
      [remove, false],
    ])
      one.hidden = hidden;
    if (paint) {
      tools.close();
      if (image) image.src = picture.url;
      if (paint.open(bitmap) && !sketch)
        say(t("The transparent part is laid on white."), t("Mask the transparent part"), paint.maskTransparent);
      sent = { ...paint.versions };
      shows("paint");
    } else {
      image.src = picture.url;
      image.parentElement.style.setProperty("--ratio", width / height);
      bitmap.close?.();
      fate.of({ width, height });
    }
    if (!announce) return;
    props.value = { image: picture, mask: "", width, height };
    trigger("pick", {});
  }

  function forget() {
    given = null;
    known = [];
    for (const [one, hidden] of [
      [drop, false],
      [body, true],
      [remove, true],
    ])
      one.hidden = hidden;
    if (dialog?.open) dialog.close();
    paint?.close();
    if (paint) shows(null);
    image?.removeAttribute("src");
    fate.of(null);
    props.value = { ...NOTHING };
  }

  // The form's size follows the picture, or its frame, whatever size it was handed over with.
  function refit() {
    const { sized: _, ...picture } = value().image;
    props.value = { ...value(), image: picture, ...(paint ? paint.size() : {}) };
    trigger("pick", {});
  }

  function where() {
    if (paint) return paint.view;
    const { clientWidth, clientHeight } = image.parentElement,
      { width, height } = value();
    const scale = Math.min(clientWidth / width, clientHeight / height);
    return { x: (clientWidth - width * scale) / 2, y: (clientHeight - height * scale) / 2, scale };
  }
  if (image && !$(".canvas-dialog")) new ResizeObserver(() => fate.place()).observe(image.parentElement);

  listen(element, input, { take, adopt, say: wrong });
  remove.addEventListener("click", () => {
    coming = null; // one that is still on its way is not wanted either
    delete element.dataset.busy;
    say("");
    forget();
    input.focus();
  });
  watch("value", () => {
    // Python hands over a picture, or takes it away
    const { image: handed, mask } = value();
    if (handed && !known.includes(handed.url)) {
      known = [handed.url];
      adopt(handed, mask);
    } else if (!handed && given) forget();
  });

  // --- The painter ---

  const dialog = $(".canvas-dialog");
  let tools = null,
    shows = (_side) => {}; // the canvas, or the result in its place
  let way = { gone: () => {} }; // of the enlarged canvas
  if (dialog) paints();

  function paints() {
    let extend = null;
    shows = room(element);
    const size = $(".canvas-size"),
      zoom = $(".canvas-zoom");
    const view = $(".canvas-view");
    element.dataset.kind = kind;
    if (sketch) {
      for (const one of [$(".canvas-tools"), dialog]) setText(one, t("Sketch with colours"), "aria-label");
    }
    // A picture that nobody sketches on is one to look at.
    const seen = () => {
      const sketching = sketch && !$(".canvas-colours").hidden;
      element.toggleAttribute("data-sketching", sketching);
      if (!sketch) return;
      image.hidden = sketching || paint.sheet.layers.sketched;
      setText(view, sketching ? t("Sketch with colours") : t("The picture to work on"), "aria-label");
      view.setAttribute("role", sketching ? "application" : "group");
    };
    paint = createPainter(view, {
      masks: !sketch,
      say,
      changed() {
        element.dispatchEvent(new CustomEvent("easel-painted", { bubbles: true })); // what was refused of it may be mended
        tools.refresh();
        setText(size, paint.sheet.picture ? `${paint.size().width} × ${paint.size().height}` : "");
        if (paint.sheet.picture) fate.of(paint.size());
        seen();
      },
      moved() {
        const percent = Math.round(100 * paint.view.scale);
        setText(zoom, `${percent} %`);
        setText(zoom, t("{percent} %, fit the picture", { percent }), "aria-label");
        tools?.rescale();
        extend?.place();
        fate.place();
      },
    });
    const step = (which) => () => {
      const { width, height } = paint.size();
      paint[which]();
      if (paint.size().width !== width || paint.size().height !== height) refit();
    };
    extend = extendFrame(body, paint, refit);
    tools = createToolbar(
      body,
      paint,
      {
        undo: step("undo"),
        redo: step("redo"),
        invert: paint.invert,
        clear: paint.clear,
        everything: paint.everything,
        upload: choose,
        download,
        enlarge,
        generate,
        colours: seen,
        without: sketch ? "gxi" : "", // keys of what is not here
        fit: () => paint.view.fit(),
        full: () => paint.view.zoom(1 / paint.view.scale),
        in: () => paint.view.zoom(1.5),
        out: () => paint.view.zoom(1 / 1.5),
      },
      extend,
    );

    dialog.addEventListener("close", () => {
      way.gone();
      dialog.before(body, note);
      $("[data-act=enlarge]").focus({ preventScroll: true });
    });
    document.addEventListener(
      "click",
      (event) => {
        if (dialog.open && event.target.closest?.(".easel-generate")) dialog.close();
      },
      true,
    );
  }

  function enlarge() {
    if (dialog.open) {
      dialog.close();
      return;
    }
    dialog.append(body, note);
    way = address.cover(() => dialog.close()); // Back closes it
    dialog.showModal();
    $(".canvas-view").focus();
  }

  // The button of the task's that starts a job now, pressed from the enlarged canvas.
  function generate() {
    const buttons = [...element.closest(".easel-task").querySelectorAll(".easel-generate, .easel-add")];
    dialog.close();
    const button = buttons.find((one) => one.offsetParent);
    (button?.querySelector("button") ?? button)?.click();
  }

  function choose() {
    const file = node("input", { type: "file", accept: "image/*" });
    file.addEventListener("change", async () => {
      say("");
      try {
        paint.take(await decode(file.files[0], file.files[0].name));
      } catch (problem) {
        if (!(problem instanceof Refused)) throw problem;
        wrong(problem.message);
      }
    });
    file.click();
  }

  async function download() {
    const { mask, width, height } = paint.sheet.layers;
    const link = node("a", { href: URL.createObjectURL(await greyPng(mask, width, height)), download: "mask.png" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  // --- Sending ---

  senders.add({
    element,
    given: () => {
      const { image: picture, width, height } = value();
      return picture
        ? {
            url: picture.url,
            thumbnail: picture.url,
            width,
            height,
            name: "",
            prompt: "",
            parameters: "",
            source: true,
          }
        : null;
    },
    unsent: () =>
      Boolean(
        coming ||
          (paint &&
            given &&
            ((!sketch && paint.versions.mask !== sent.mask) || paint.versions.picture !== sent.picture)),
      ),
    async send() {
      await coming;
      if (!paint || !given) return true;
      const now = { ...paint.versions },
        { width, height } = paint.size(),
        source = given;
      const maskFile = !sketch && now.mask !== sent.mask && paint.maskFile();
      const pictureFile = now.picture !== sent.picture && paint.pictureFile();
      const store = async (made, name) => {
        const { path, url } = await upload(new File([await made], name, { type: "image/png" }));
        return { path, url };
      };
      let { mask, image: picture } = value();
      element.dataset.busy = "yes";
      try {
        if (now.picture !== sent.picture) picture = pictureFile ? await store(pictureFile, "painted.png") : given;
        if (now.mask !== sent.mask) mask = maskFile ? await store(maskFile, "mask.png") : "";
      } catch {
        wrong(t("The mask could not be sent; is the server still there? Try again."));
        return false;
      } finally {
        delete element.dataset.busy;
      }
      if (source !== given) return true; // another picture has come meanwhile
      known = [given.url, picture.url];
      props.value = { image: picture, mask, width, height };
      sent = now;
      return true;
    },
  });

  if (value().image) adopt(value().image, value().mask, false);
}
