// The pictures that a search finds, as far as they are loaded. They come in stretches, each loaded from its newest to its
// oldest. Without a filter a stretch is some days, so that a far place is reached without loading what is before it; how
// many pictures a day has is known beforehand. With a filter there is one stretch.

import { ask } from "./api.js";
import { dayOf, later } from "./days.js";
import { query } from "./gallery-ask.js";

export const PAGE = 60;
export const PAGE_MAX = 200;
export const RETRY_MS = 5000;
export const limits = { kept: 5000 }; // pictures that are remembered, about: who scrolls on forgets the farthest

// `changed()` hears of every change. A stretch: {from, to: days, "" without an end; total, days, items, rows: what a grid
// keeps of it, null when it must be laid out anew}.
export function createShelf(search, changed) {
  const plain =
    !search.words && !search.model && !search.sampler && !search.task && !search.favourites && !search.trash;
  const shelf = { flows: [], byId: new Map(), total: 0, ready: false, problem: "", plain, breaks: new Set() };
  shelf.isNeeded = (flow) => flow === shelf.flows[0]; // the grid says more
  let closed = false;

  const stretch = (from, to, days) => ({
    from,
    to,
    days,
    total: days.reduce((sum, [, number]) => sum + number, 0),
    items: [],
    next: "",
    begun: false,
    loading: null,
    failed: 0,
    rows: null,
  });

  function page(flow, after, limit) {
    return ask("api/pictures?" + query({ ...search, from_day: flow.from, to_day: flow.to, after, limit }));
  }

  function noted(pictures, flow) {
    for (const one of pictures) {
      one.day = dayOf(new Date(one.made * 1000));
      one.flow = flow;
      shelf.byId.set(one.id, one);
    }
    return pictures;
  }

  function put(flow, items, next, total) {
    const kept = new Set(items.map((one) => one.id));
    for (const one of flow.items) if (!kept.has(one.id)) shelf.byId.delete(one.id);
    flow.items = noted(items, flow);
    flow.next = next;
    flow.total = next ? Math.max(total, items.length + 1) : items.length;
    flow.begun = true;
    flow.failed = 0;
    flow.rows = null;
    shelf.problem = "";
    sum();
  }

  function sum() {
    shelf.total = shelf.flows.reduce((all, flow) => all + flow.total, 0);
  }

  function empty(flow) {
    for (const one of flow.items) shelf.byId.delete(one.id);
    Object.assign(flow, { items: [], next: "", begun: false, rows: null });
  }

  // Runs `work` on a stretch, one at a time; a failure is told and tried again some seconds later.
  function busy(flow, work) {
    const before = flow.loading || Promise.resolve();
    const now = before
      .then(work)
      .catch((error) => {
        if (closed) return;
        shelf.problem = error.message;
        flow.failed = Date.now();
        setTimeout(() => {
          if (!closed) changed();
        }, RETRY_MS + 50);
      })
      .finally(() => {
        if (flow.loading === now) flow.loading = null;
        if (!closed) changed();
      });
    flow.loading = now;
    return now;
  }

  function more(flow, limit = PAGE) {
    return busy(flow, async () => {
      if (flow.begun && !flow.next) return;
      const found = await page(flow, flow.next, Math.min(limit, PAGE_MAX));
      if (closed) return;
      put(flow, [...flow.items, ...found.pictures], found.next, found.total);
      forget(flow);
    });
  }

  // Empties the stretches that are farthest from this one while too much is remembered.
  function forget(flow) {
    const kept = limits.kept;
    if (shelf.byId.size <= kept) return;
    const at = shelf.flows.indexOf(flow),
      far = (one) => Math.abs(shelf.flows.indexOf(one) - at);
    const others = shelf.flows.filter(
      (one) => one !== flow && one.items.length && !one.loading && !shelf.isNeeded(one),
    );
    others.sort((one, other) => far(other) - far(one));
    for (const one of others) {
      if (shelf.byId.size <= kept * 0.8) return;
      empty(one);
    }
  }

  // Days as stretches of at least a page each, newest first, without a gap between them.
  function stretches(days) {
    const flows = [];
    let some = [],
      number = 0;
    for (const one of days) {
      some.push(one);
      number += one[1];
      if (number >= 2 * PAGE || one === days[days.length - 1]) {
        const to = flows.length ? later(flows[flows.length - 1].from, -1) : search.to_day;
        flows.push(stretch(one[0], to, some));
        some = [];
        number = 0;
      }
    }
    if (!flows.length) flows.push(stretch(search.from_day, search.to_day, []));
    flows[flows.length - 1].from = search.from_day;
    return flows;
  }

  function daysOf(facets) {
    return facets.day
      .filter(([one]) => (!search.from_day || one >= search.from_day) && (!search.to_day || one <= search.to_day))
      .sort(([one], [other]) => (one < other ? 1 : -1));
  }

  // Asks for the first pictures. `facets` is the promise of what there is.
  shelf.open = async (facets) => {
    try {
      const [first, there] = await Promise.all([
        page({ from: search.from_day, to: search.to_day }, "", PAGE),
        plain ? facets : null,
      ]);
      if (closed) return;
      shelf.flows = plain ? stretches(daysOf(there)) : [stretch(search.from_day, search.to_day, [])];
      const flow = shelf.flows[0];
      const some = first.pictures.filter((one) => one.id !== undefined);
      put(
        flow,
        some,
        first.next && (shelf.flows.length === 1 || flow.total > some.length) ? first.next : "",
        plain && shelf.flows.length > 1 ? flow.total : first.total,
      );
      shelf.ready = true;
      shelf.problem = "";
    } catch (error) {
      if (!closed) shelf.problem = error.message;
    }
    if (!closed) changed();
  };

  shelf.close = () => {
    closed = true;
  };

  shelf.mayLoad = (flow) => !flow.loading && (!flow.begun || Boolean(flow.next)) && Date.now() - flow.failed > RETRY_MS;

  // Loads a stretch until `number` of its pictures are there, or all; whoever asked may stop that with `still()`.
  shelf.need = async (flow, number, still = () => true) => {
    while (!closed && still() && flow.items.length < number && (!flow.begun || flow.next)) {
      const before = flow.items.length;
      await more(flow, Math.max(PAGE, number - before));
      if (flow.items.length === before) return;
    }
  };

  // As many of a stretch as were there before, asked anew. Of a long one only the newest, where the counts agree.
  function again(flow) {
    return busy(flow, async () => {
      const old = flow.items,
        wanted = Math.max(PAGE, old.length);
      let { pictures: items, next, total } = await page(flow, "", Math.min(wanted, PAGE_MAX));
      if (old.length > 2 * PAGE_MAX) {
        const fresh = items.filter((one) => !shelf.byId.has(one.id));
        if (total === flow.total + fresh.length) {
          const now = new Map(items.map((one) => [one.id, one]));
          if (!closed) put(flow, [...fresh, ...old.map((one) => now.get(one.id) || one)], flow.next, total);
          return;
        }
      }
      while (!closed && next && items.length < wanted) {
        const found = await page(flow, next, Math.min(wanted - items.length, PAGE_MAX));
        items = [...items, ...found.pictures];
        ({ next, total } = found);
      }
      if (!closed) put(flow, items, next, total);
    });
  }

  // After a change on the server: stretches that are `seen(flow)` are asked anew, others when they are looked at. What is
  // new at the top gets rows of its own where the window is `below`, so that the rows there stay as they are. Gives how
  // many pictures are new at the top.
  shelf.resync = async (facets, seen, below) => {
    if (!shelf.ready || closed) return 0;
    const top = shelf.flows[0],
      known = new Set(top.items.map((one) => one.id));
    const newest = top.items[0];
    if (below && newest) shelf.breaks.add(newest.id);
    if (plain) {
      const days = daysOf(await facets);
      for (const flow of shelf.flows) {
        const inside = days.filter(([one]) => (!flow.from || one >= flow.from) && (!flow.to || one <= flow.to));
        const total = inside.reduce((all, [, number]) => all + number, 0);
        flow.days = inside;
        if (flow !== top && !seen(flow) && total !== flow.total) empty(flow);
        if (!flow.begun) {
          flow.total = total;
          flow.rows = null;
        }
      }
      sum();
    }
    await Promise.all(shelf.flows.filter((flow) => flow === top || (flow.begun && seen(flow))).map(again));
    if (!closed) changed();
    return top.items.filter((one) => !known.has(one.id) && (!newest || one.made >= newest.made)).length;
  };

  shelf.remove = (ids) => {
    const gone = new Set(ids);
    for (const flow of new Set(ids.map((id) => shelf.byId.get(id)?.flow).filter(Boolean))) {
      const left = flow.items.filter((one) => !gone.has(one.id));
      put(flow, left, flow.next, flow.total - (flow.items.length - left.length));
    }
    changed();
  };

  // New pictures join the rows of those that were there.
  shelf.join = () => {
    if (!shelf.breaks.size) return;
    shelf.breaks.clear();
    shelf.flows[0].rows = null;
    changed();
  };

  // Puts pictures back to their places, where those are loaded.
  shelf.insert = (pictures) => {
    for (const one of pictures) {
      if (shelf.byId.has(one.id)) continue;
      const flow = shelf.flows.find((each) => (!each.from || one.day >= each.from) && (!each.to || one.day <= each.to));
      if (!flow) continue;
      const older = (other) => other.made < one.made || (other.made === one.made && other.id < one.id);
      let place = flow.items.findIndex(older);
      if (place < 0) place = flow.items.length;
      if (place === flow.items.length && (flow.next || !flow.begun)) {
        flow.total += 1;
        flow.rows = null;
        sum();
        continue;
      }
      put(flow, [...flow.items.slice(0, place), one, ...flow.items.slice(place)], flow.next, flow.total + 1);
    }
    changed();
  };

  return shelf;
}
