// The way back, in a history that goes as a browser's does: later.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Address, addressOf, placeAt } from "../../../webui/ui/assets/address.js";

const TABS = ["txt2img", "img2img", "gallery", "easel-queue"];

/** A browser with the page: what it has been told is done when its tasks have run. */
function browser(entries = [{ state: null, hash: "" }]) {
  const made = {
    entries,
    at: entries.length - 1,
    left: false,
    hash: () => made.entries[made.at].hash,
    async go(by) {
      await new Promise(setImmediate);
      if (made.at + by < 0) {
        made.left = true;
        return;
      }
      made.at += by;
      made.address.arrive(made.hash());
      await new Promise(setImmediate);
      await new Promise(setImmediate);
    },
    async type(hash) {
      made.entries.splice(++made.at, Infinity, { state: null, hash });
      made.address.arrive(hash);
      await new Promise(setImmediate);
      await new Promise(setImmediate);
    },
    load(last = "") {
      made.tab = "txt2img";
      made.open = [];
      made.address = new Address();
      made.address.begin(world, { tabs: TABS, tab: "txt2img", hash: made.hash(), last });
    },
    /** A thing over the page, as a dialog is: it says that it is closed when it is. */
    cover(name, picture) {
      const shut = () => {
        if (!made.open.includes(name)) return;
        made.open = made.open.filter((one) => one !== name);
        setImmediate(layer.gone);
      };
      made.open.push(name);
      const layer = made.address.cover(shut);
      if (picture) layer.picture(picture);
      return { shut, layer };
    },
    enter(tab, walking) {
      made.tab = tab;
      made.address.enter(tab, walking);
    },
  };
  const write = (more) => (state, _, hash) => {
    if (more) made.entries.splice(++made.at, Infinity, { state, hash });
    else made.entries[made.at] = { state, hash: String(hash).startsWith("#") ? hash : "" };
  };
  const world = {
    history: {
      get state() {
        return made.entries[made.at].state;
      },
      pushState: write(true),
      replaceState: write(false),
      go: (by) => void made.go(by),
    },
    choose: (tab) => setImmediate(() => made.enter(tab)),
    open: async (tab, picture) => {
      await new Promise(setImmediate);
      if (picture !== "404") made.cover(`${tab} ${picture}`, picture);
    },
  };
  made.load();
  return made;
}

const settled = async () => {
  for (let i = 0; i < 8; i++) await new Promise(setImmediate);
};

test("a tab has an address, and so has a picture in it", () => {
  assert.equal(addressOf("easel-queue"), "#queue");
  assert.equal(addressOf("gallery", "12"), "#gallery/12");
  assert.deepEqual(placeAt("#queue", TABS), { tab: "easel-queue", picture: "" });
  assert.deepEqual(placeAt("#gallery/12", TABS), { tab: "gallery", picture: "12" });
  for (const wrong of ["", "#", "#nothing", "#gallery/x", "#gallery/1/2", "#%E0%A4%A"]) {
    assert.equal(placeAt(wrong, TABS), null, wrong);
  }
});

test("Back goes through the tabs, then leaves", async () => {
  const page = browser();
  assert.equal(page.hash(), "", "the address that was asked for stays as it is");
  page.enter("gallery");
  await settled();
  page.enter("easel-queue");
  await settled();
  assert.deepEqual(
    page.entries.map((one) => one.hash),
    ["", "#gallery", "#queue"],
  );
  await page.go(-1);
  assert.equal(page.tab, "gallery");
  await page.go(-1);
  assert.equal(page.tab, "txt2img");
  await page.go(1);
  assert.equal(page.tab, "gallery");
  assert.equal(page.entries.length, 3, "going back and forth writes nothing");
  await page.go(-1);
  await page.go(-1);
  assert.ok(page.left);
});

test("Back closes what is open, the last first", async () => {
  const page = browser();
  page.enter("gallery");
  await settled();
  page.cover("viewer", 12);
  await settled();
  assert.equal(page.hash(), "#gallery/12");
  page.cover("compare");
  await settled();
  await page.go(-1);
  assert.deepEqual(page.open, ["viewer"]);
  await page.go(-1);
  assert.deepEqual(page.open, []);
  assert.equal(page.tab, "gallery");
  assert.equal(page.hash(), "#gallery");
  await page.go(-1);
  assert.equal(page.tab, "txt2img");
});

test("what is closed by hand needs no Back", async () => {
  const page = browser();
  page.enter("gallery");
  await settled();
  const viewer = page.cover("viewer", 12);
  await settled();
  viewer.shut();
  await settled();
  assert.equal(page.hash(), "#gallery");
  await page.go(-1);
  assert.equal(page.tab, "txt2img");
});

test("a picture that is handed to another tab closes the viewer and goes there", async () => {
  const page = browser();
  page.enter("gallery");
  await settled();
  const viewer = page.cover("viewer", 12);
  await settled();
  viewer.shut();
  setImmediate(() => page.enter("img2img")); // while the browser is on its way back
  await settled();
  assert.deepEqual(
    page.entries.map((one) => one.hash),
    ["", "#gallery", "#img2img"],
  );
  await page.go(-1);
  assert.equal(page.tab, "gallery");
});

test("a menu that gives way to a dialog is one step", async () => {
  const page = browser();
  const menu = page.cover("menu");
  await settled();
  page.open = [];
  menu.layer.gone();
  page.cover("compare");
  await settled();
  assert.equal(page.entries.length, 2);
  await page.go(-1);
  assert.deepEqual(page.open, []);
});

test("leafing changes the address and no more", async () => {
  const page = browser();
  const { layer } = page.cover("viewer", 12);
  await settled();
  layer.picture(13);
  layer.picture(14);
  while (page.hash() !== "#txt2img/14") await settled();
  assert.equal(page.entries.length, 2);
});

test("Forward opens the picture again, and nothing twice", async () => {
  const page = browser();
  page.enter("gallery");
  await settled();
  page.cover("gallery 12", 12);
  page.cover("compare");
  await settled();
  await page.go(-1);
  await page.go(-1);
  assert.deepEqual(page.open, []);
  await page.go(1);
  assert.deepEqual(page.open, ["gallery 12"]);
  await page.go(1); // a comparison cannot be opened again
  await settled();
  assert.deepEqual(page.open, ["gallery 12"]);
  await page.go(-1);
  assert.deepEqual(page.open, []);
});

test("the address of a picture opens it over its tab", async () => {
  const page = browser([{ state: null, hash: "#gallery/12" }]);
  await settled();
  assert.deepEqual([page.tab, ...page.open], ["gallery", "gallery 12"]);
  await page.go(-1);
  assert.deepEqual(page.open, []);
  assert.equal(page.hash(), "#gallery");
  await page.go(-1);
  assert.ok(page.left);
});

test("the address of a picture that is gone is its tab's", async () => {
  const page = browser([{ state: null, hash: "#gallery/404" }]);
  await settled();
  assert.deepEqual([page.tab, page.hash(), ...page.open], ["gallery", "#gallery"]);
});

test("a reload comes back to the tab and the picture, with the way back", async () => {
  const page = browser();
  page.enter("gallery");
  await settled();
  page.cover("gallery 12", 12);
  page.cover("compare");
  await settled();
  page.load();
  await settled();
  assert.deepEqual([page.tab, page.hash(), ...page.open], ["gallery", "#gallery/12", "gallery 12"]);
  await page.go(-1);
  assert.deepEqual(page.open, []);
  await page.go(-1);
  assert.equal(page.tab, "txt2img");
});

test("a reload under a dialog comes back to the tab", async () => {
  const page = browser();
  page.enter("gallery");
  await settled();
  page.cover("dialog");
  await settled();
  page.load();
  await settled();
  assert.deepEqual([page.tab, page.hash()], ["gallery", "#gallery"]);
  await page.go(-1);
  assert.equal(page.tab, "txt2img");
});

test("an address that somebody types goes there, one of nothing stays", async () => {
  const page = browser();
  await page.type("#gallery/12");
  await settled();
  assert.deepEqual([page.tab, ...page.open], ["gallery", "gallery 12"]);
  await page.type("#nothing");
  await settled();
  assert.deepEqual([page.tab, page.hash(), ...page.open], ["gallery", "#gallery"]);
});

test("a page that is opened without an address shows the tab of before", async () => {
  const page = browser();
  page.entries = [{ state: null, hash: "" }];
  page.load("gallery");
  await settled();
  assert.deepEqual([page.tab, page.hash()], ["gallery", "#gallery"]);
});

test("tabs that the keys go through are one step", async () => {
  const page = browser();
  for (const tab of ["img2img", "gallery", "easel-queue"]) {
    page.enter(tab, true);
    await settled();
  }
  await page.go(-1);
  assert.equal(page.tab, "txt2img");
});
