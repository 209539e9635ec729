// Values that tell who reads them. What an effect has read when it ran last is what it runs for again, once for all
// that changes in a batch.

/** @typedef {() => void} Act */
/** @typedef {{ run: Act, sources: Set<Set<Effect>> }} Effect */

/** @type {Effect | null} */
let reading = null; // the effect that runs
/** @type {Set<Effect>} */
let waiting = new Set();
let batches = 0;
const MOST = 100; // rounds of effects that change what others read; more is a circle

/**
 * @template T
 * @param {T} value
 * @returns {{ value: T }} what is read by an effect, and tells it when another value is set
 */
export function signal(value) {
  /** @type {Set<Effect>} */
  const readers = new Set();
  return {
    get value() {
      if (reading) {
        readers.add(reading);
        reading.sources.add(readers);
      }
      return value;
    },
    set value(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const reader of readers) waiting.add(reader);
      if (!batches) settle();
    },
  };
}

/**
 * Runs `act` now, and anew for each change of what it read.
 * @param {Act} act
 * @returns {Act} ends that
 */
export function effect(act) {
  /** @type {Effect} */
  const own = {
    sources: new Set(),
    run() {
      leave();
      const before = reading;
      reading = own;
      try {
        act();
      } finally {
        reading = before;
      }
    },
  };
  const leave = () => {
    for (const readers of own.sources) readers.delete(own);
    own.sources.clear();
  };
  own.run();
  return () => {
    leave();
    waiting.delete(own);
  };
}

/**
 * What `act` changes is told when it is over. Gives what it gives.
 * @template T
 * @param {() => T} act
 * @returns {T}
 */
export function batch(act) {
  batches++;
  try {
    return act();
  } finally {
    if (!--batches) settle();
  }
}

function settle() {
  batches++; // what an effect sets waits for the next round
  try {
    for (let round = 0; waiting.size; round++) {
      if (round === MOST) {
        waiting.clear();
        throw new Error("effects change what each other read");
      }
      const now = waiting;
      waiting = new Set();
      for (const one of now) one.run();
    }
  } finally {
    batches--;
  }
}
