// Sentences are text, know their keys, and say themselves anew in another language.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { joined, named, Sentence, sentence, speak, t, within } from "../../../webui/ui/assets/i18n.js";

const german = {
  Cancel: "Abbrechen",
  "Step {step} of {steps}": "Schritt {step} von {steps}",
  "{line}; {gone} no longer on disk": "{line}; {gone} nicht mehr da",
};
beforeEach(() => speak({}));

test("a sentence is English text wherever text is wanted", () => {
  const said = t("Step {step} of {steps}", { step: 7, steps: 20 });
  assert.equal(`${said}`, "Step 7 of 20");
  assert.equal("now: " + said, "now: Step 7 of 20");
  assert.equal(said.split(" ").at(-1), "20");
  assert.equal(JSON.stringify([said]), '["Step 7 of 20"]');
  assert.equal(new Error(said).message, "Step 7 of 20");
});

test("it changes with the language, and back", () => {
  const said = t("Step {step} of {steps}", { step: 7, steps: 20 });
  speak(german);
  assert.equal(String(said), "Schritt 7 von 20");
  speak({});
  assert.equal(String(said), "Step 7 of 20");
});

test("what has no translation stays English, and a name without a value stays", () => {
  speak(german);
  assert.equal(String(t("Save {what}", { other: 1 })), "Save {what}");
});

test("a value is not read for names, and none comes from the prototype", () => {
  assert.equal(String(t("{a} and {b} {constructor}", { a: "{b}", b: 2 })), "{b} and 2 {constructor}");
});

test("Python tells a sentence as key and values, and somebody's own words as text", () => {
  const line = ["Step {step} of {steps}", { step: 7, steps: 20 }];
  const said = sentence(["{line}; {gone} no longer on disk", { line, gone: 2 }]);
  speak(german);
  assert.equal(String(said), "Schritt 7 von 20; 2 nicht mehr da");
  assert.equal(sentence("Cancel"), "Cancel");
  assert.equal(sentence(undefined), "");
});

test("facts side by side are translated one by one", () => {
  const facts = joined(" · ", ["512 × 512", "", t("Cancel"), undefined, "Cancel"]);
  speak(german);
  assert.equal(String(facts), "512 × 512 · Abbrechen · Cancel");
});

test("a label inside a sentence is small in English alone", () => {
  const said = t("Send to {task}", { task: within("Cancel") });
  assert.equal(String(said), "Send to cancel");
  speak(german);
  assert.equal(String(said), "Send to Abbrechen");
});

test("what has no name is no sentence", () => {
  assert.equal(named(""), "");
  assert.ok(named("Cancel") instanceof Sentence);
});
