// Virtual time and chosen chance for everything that is imported after this module.
//
// Timers, Date, performance.now and Math.random are replaced; setImmediate stays real and is what lets the
// promises of one timer settle before the next timer fires.

import { AsyncLocalStorage } from "node:async_hooks";
import { performance as realPerformance } from "node:perf_hooks";

const settlingTurns = 4;
const nextTurn = globalThis.setImmediate;
const RealDate = globalThis.Date;

let now = 0;
let lastNumber = 0;
let timers = new Map();
let onUncaught = () => {};
let chances = [0.5];
let chancesTaken = 0;

function setTimer(action, delay, args, every) {
  const number = ++lastNumber;
  // What a timer does, it does on behalf of whoever set it.
  const run = AsyncLocalStorage.bind(() => {
    try {
      action(...args);
    } catch (error) {
      onUncaught(error);
    }
  });
  timers.set(number, { number, due: now + Math.max(0, Number(delay) || 0), run, every });
  return number;
}

globalThis.setTimeout = (action, delay, ...args) => setTimer(action, delay, args, null);
globalThis.setInterval = (action, delay, ...args) => setTimer(action, delay, args, Math.max(1, Number(delay) || 0));
globalThis.clearTimeout = globalThis.clearInterval = (number) => void timers.delete(number);
globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [now] : args));
  }
  static now() {
    return now;
  }
};
realPerformance.now = () => now;
Math.random = () => chances[chancesTaken++ % chances.length];

export const clock = {
  get now() {
    return now;
  },

  // Begin again at 0, with nothing set; `randoms` are what Math.random gives, over and over, and what a timer
  // throws goes to `uncaught`.
  reset(randoms, uncaught) {
    now = 0;
    timers = new Map();
    chances = randoms;
    chancesTaken = 0;
    onUncaught = uncaught;
  },

  // Fire every timer that is due up to a moment, one after the other; each may settle before the next.
  async runUntil(limit) {
    await settle();
    for (let timer = first(limit); timer; timer = first(limit)) {
      now = timer.due;
      timers.delete(timer.number);
      if (timer.every !== null) {
        timers.set(timer.number, { ...timer, due: now + timer.every });
      }
      timer.run();
      await settle();
    }
    now = limit;
  },
};

function first(limit) {
  let found;
  for (const timer of timers.values()) {
    const isEarlier = !found || timer.due < found.due || (timer.due === found.due && timer.number < found.number);
    if (timer.due <= limit && isEarlier) {
      found = timer;
    }
  }
  return found;
}

// Let what is under way come to rest.
export async function settle() {
  for (let turn = 0; turn < settlingTurns; turn += 1) {
    await new Promise((resolve) => nextTurn(resolve));
  }
}
