// Days as the Gallery counts them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { dayOf, days, later } from "../../../webui/ui/assets/days.js";

for (const [choice, expected] of [
  [{ when: "" }, ["", ""]],
  [{ when: "today" }, ["2026-11-20", ""]],
  [{ when: "week" }, ["2026-11-16", ""]], // a Monday
  [{ when: "month" }, ["2026-11-01", ""]],
  [{ when: "days", from: "2026-02-03", to: "" }, ["2026-02-03", ""]],
  [{ when: "days", from: "2026-03-01", to: "2026-02-01" }, ["2026-02-01", "2026-03-01"]],
]) {
  test(`${JSON.stringify(choice)} is two days`, () => {
    assert.deepEqual(days({ from: "", to: "", ...choice }, "2026-11-20"), expected);
  });
}

test("a week begins with its own Monday and Sunday ends it", () => {
  const monday = (today) => days({ when: "week", from: "", to: "" }, today)[0];
  assert.deepEqual(
    [monday("2026-11-16"), monday("2026-11-22"), monday("2026-11-23")],
    ["2026-11-16", "2026-11-16", "2026-11-23"],
  );
});

test("days go over months, years and the clock's changes", () => {
  assert.equal(later("2026-12-31", 1), "2027-01-01");
  assert.equal(later("2024-03-01", -1), "2024-02-29");
  assert.equal(later("2026-03-28", 2), "2026-03-30");
});

test("a moment's day is the visitor's own", () => {
  assert.equal(dayOf(new Date(2026, 0, 2, 0, 0, 1)), "2026-01-02");
  assert.equal(dayOf(new Date(2026, 11, 31, 23, 59, 59)), "2026-12-31");
});
