// What can be done with pictures that the gallery knows (webui/http/pictures.py), for stage and viewer. Each change is
// told to the whole page: an event "easel-pictures" of the document, `{kind: "trashed"|"restored"|"favourite", ids, on}`.
"use strict";
window.Easel = window.Easel || {};

Easel.kept = {
  async ask(method, path, body) {
    const headers = body ? { "Content-Type": "application/json" } : {};
    const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.error || Easel.t("The server did not answer."));
    return said;
  },

  tell(kind, ids, on) {
    document.dispatchEvent(new CustomEvent("easel-pictures", { detail: { kind, ids, on } }));
  },

  failed(error) { Easel.toast(error.message, null, 8); },

  async favour(item) {
    const on = !item.favourite;
    try {
      await Easel.kept.ask("PATCH", "api/pictures", { ids: [item.id], favourite: on });
      item.favourite = on;
      Easel.kept.tell("favourite", [item.id], on);
    } catch (error) { Easel.kept.failed(error); }
  },

  // Moves a picture to the trash, with a way back; "gone" when it is there.
  async trash(item) {
    try {
      await Easel.kept.ask("POST", "api/pictures/trash", { ids: [item.id] });
    } catch (error) { Easel.kept.failed(error); return ""; }
    Easel.kept.tell("trashed", [item.id]);
    Easel.toast(Easel.t("Moved to the trash."), { label: Easel.t("Undo"), act: () => Easel.kept.restore([item.id]) });
    return "gone";
  },

  async restore(ids) {
    try {
      await Easel.kept.ask("POST", "api/pictures/restore", { ids });
      Easel.kept.tell("restored", ids);
    } catch (error) { Easel.kept.failed(error); }
  },

  // [label, address] of the ways to have a picture as a file: as it is, or another format with its settings kept.
  downloads(item) {
    const own = (item.name || "").split(".").pop().toUpperCase() || "PNG";
    if (!item.id) return [[Easel.t("Original ({format})", { format: own }), item.url]];
    const as = (format, quality = "") => `${item.url}&format=${format}${quality}&download=1`;
    const all = [[Easel.t("Original ({format})", { format: own }), item.url + "&download=1"],
      ["PNG", as("png")], ["JPEG", as("jpeg", "&quality=92")], ["WebP", as("webp", "&quality=90")]];
    return all.filter(([label]) => label !== own);
  },

  download(item, address) {
    const link = Easel.node("a", { href: address || Easel.kept.downloads(item)[0][1], download: item.name || "" });
    document.body.append(link);
    link.click();
    link.remove();
  },
};
