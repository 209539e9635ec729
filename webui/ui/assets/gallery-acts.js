// What is done with pictures of the Gallery. Each change is told to the page (picture-actions.js), and the Gallery, which hears that
// too, shows it.

import { ask } from "./api.js";
import { compare } from "./compare.js";
import { node } from "./dom.js";
import { count } from "./gallery-ask.js";
import { named, t, within } from "./i18n.js";
import { iconButton } from "./icons.js";
import { confirmed, toast } from "./overlays.js";
import * as pictureActions from "./picture-actions.js";
import { sendTo } from "./send-to.js";
import { openViewer } from "./viewer.js";

export const VIEWED = 300; // pictures before and behind the one that is opened, for leafing

// `tasks` are [name, label] of those that take a picture.
export function galleryActs(grid, marks, tasks) {
  const ids = (pictures) => pictures.map((one) => one.id);
  const failed = (error) => pictureActions.failed(error);
  const acts = {};
  const icons = { img2img: "image", inpaint: "brush", upscale: "upscale" };

  acts.favour = async (pictures) => {
    const on = !pictures.every((one) => one.favourite);
    try {
      await ask("api/pictures", "PATCH", { ids: ids(pictures), favourite: on });
      pictureActions.tell("favourite", ids(pictures), on);
    } catch (error) {
      failed(error);
    }
  };

  acts.remove = async (pictures) => {
    if (pictures[0]?.trashed) return acts.restore(pictures);
    let moved;
    try {
      moved = (await ask("api/pictures/trash", "POST", { ids: ids(pictures) })).ids;
    } catch (error) {
      failed(error);
      return "";
    }
    pictureActions.tell("trashed", moved);
    const words = t("{pictures} moved to the trash.", { pictures: count(moved.length) });
    toast(words, { label: t("Undo"), act: () => pictureActions.restore(moved) });
    return "gone";
  };

  acts.restore = async (pictures) => {
    try {
      const back = (await ask("api/pictures/restore", "POST", { ids: ids(pictures) })).ids;
      pictureActions.tell("restored", back);
      toast(t("{pictures} restored.", { pictures: count(back.length) }), null, 4);
      return "gone";
    } catch (error) {
      failed(error);
      return "";
    }
  };

  acts.emptyTrash = async () => {
    const number = grid.shelf.total;
    const question = t("Delete {pictures} for good? This cannot be undone.", { pictures: count(number) });
    if (!(await confirmed(question, t("Delete for good")))) return;
    try {
      await ask("api/pictures/empty-trash", "POST");
      document.dispatchEvent(new CustomEvent("easel-pictures", { detail: { kind: "emptied", ids: [] } }));
    } catch (error) {
      failed(error);
    }
  };

  acts.download = (pictures) => {
    if (pictures.length === 1) {
      pictureActions.download(pictures[0]);
      return;
    }
    pictureActions.download({ name: "pictures.zip" }, "api/pictures/archive?ids=" + ids(pictures).join(","));
  };

  async function settings(one) {
    if (one.parameters === undefined) one.parameters = (await ask(`api/pictures/${one.id}`)).parameters || "";
    return one.parameters;
  }

  acts.send = async (to, one) => {
    try {
      const { url, width, height, name } = one;
      sendTo({ to, url, width, height, parameters: await settings(one), name });
    } catch (error) {
      failed(error);
    }
  };

  acts.use = async (one) => {
    try {
      const parameters = await settings(one);
      if (parameters) sendTo({ to: "", url: "", parameters, name: one.name });
      else toast(t("This picture says nothing of its settings."), null, 5);
    } catch (error) {
      failed(error);
    }
  };

  acts.compare = (pictures) => compare(pictures[1], pictures[0]); // the older one on the left

  // Two that are selected, else one with the one before it.
  acts.contrast = (pictures) => {
    const [one] = pictures;
    const two = pictures.length === 1 ? [one, around(one)[around(one).indexOf(one) + 1]] : pictures;
    if (two.length === 2 && two[1]) acts.compare(two);
    else if (two.length > 2) toast(t("Select two pictures to compare them."), null, 5);
    else toast(t("There is no other picture to compare it with."), null, 5);
  };

  // [icon, label, act(picture)] of the tasks that a picture can go to.
  acts.targets = tasks.map(([name, label]) => [
    icons[name] || "arrow",
    name === "upscale" ? named(label) : t("To {task}", { task: within(label) }),
    (one) => acts.send(name, one),
  ]);

  function around(one) {
    // pictures that are loaded, without a gap, before and behind it
    const { flows } = grid.shelf,
      place = grid.place(one.id);
    if (!place) return [one];
    let some = place.flow.items.slice(Math.max(0, place.index - VIEWED), place.index + VIEWED + 1);
    const at = flows.indexOf(place.flow);
    const whole = (flow) => flow?.begun && !flow.next;
    if (place.index < VIEWED && whole(flows[at - 1])) some = [...flows[at - 1].items.slice(-VIEWED), ...some];
    if (whole(place.flow)) some = [...some, ...(flows[at + 1]?.items || []).slice(0, VIEWED)];
    return some;
  }

  acts.open = (one) => {
    const some = around(one);
    const thrown = (item) => Boolean(item.trashed),
      kept = (item) => !item.trashed;
    openViewer(some, some.indexOf(one), {
      shown: (item) => {
        grid.active = item.id;
      },
      actions: [
        {
          label: t("Favourite"),
          icon: "star",
          key: "f",
          for: kept,
          pressed: (item) => item.favourite,
          act: (item) => acts.favour([item]),
        },
        ...acts.targets.map(([icon, label, act]) => ({ label, icon, for: kept, closes: true, act })),
        { label: t("Use settings"), icon: "settings", for: kept, closes: true, act: acts.use },
        {
          label: t("Compare with the one before"),
          icon: "compare",
          key: "c",
          for: (_item, before) => before,
          act: (item, before) => compare(before, item),
          lacking: t("There is no other picture to compare it with."),
        },
        { label: t("Download"), icon: "download", key: "d", act: (item) => pictureActions.download(item) },
        { label: t("Delete"), icon: "trash", key: "Delete", for: kept, act: (item) => acts.remove([item]) },
        { label: t("Restore"), icon: "again", for: thrown, act: (item) => acts.restore([item]) },
      ],
    });
    const dialog = [...document.querySelectorAll("dialog.viewer")].pop();
    dialog?.addEventListener("close", () => {
      if (grid.isSeen()) grid.focus(grid.active);
    });
  };

  // Fills `bar` with what can be done with what is selected.
  acts.drawBar = (bar) => {
    const pictures = marks.list();
    bar.hidden = !pictures.length;
    if (!pictures.length) {
      bar.replaceChildren();
      return;
    }
    const button = iconButton;
    const held = [...bar.children].indexOf(document.activeElement);
    const made = [node("span", { class: "gallery-picked" }, marks.words())];
    if (pictures.some((one) => one.trashed)) {
      made.push(button("again", t("Restore"), () => acts.restore(marks.list())));
    } else {
      const star = button("star", t("Favourite"), () => acts.favour(marks.list()));
      star.setAttribute(
        "aria-pressed",
        pictures.every((one) => one.favourite),
      );
      made.push(
        star,
        button("download", t("Download"), () => acts.download(marks.list())),
      );
      if (pictures.length === 1) {
        for (const [icon, label, act] of acts.targets) {
          made.push(button(icon, label, () => act(marks.list()[0])));
        }
        made.push(button("settings", t("Use settings"), () => acts.use(marks.list()[0])));
      }
      if (pictures.length === 2) made.push(button("compare", t("Compare"), () => acts.compare(marks.list())));
      made.push(button("trash", t("Delete"), () => acts.remove(marks.list())));
    }
    made.push(button("close", t("Clear selection (Esc)"), () => marks.clear(), { plain: true }));
    bar.replaceChildren(...made);
    if (held >= 0) bar.children[Math.min(held, made.length - 1)].focus();
  };
  return acts;
}
