// Virtual time: import it before anything that might keep a timer function.

const immediately = globalThis.setImmediate;
const SETTLING = 4; // turns of the real loop in which promises settle

export class Clock {
  constructor() {
    this.now = 0;
    this.timers = [];
    this.count = 0;
  }

  start(action, delay) {
    const timer = { id: ++this.count, due: this.now + Math.max(Number(delay) || 0, 0), action };
    this.timers.push(timer);
    return timer;
  }

  stop(timer) {
    this.timers = this.timers.filter((other) => other !== timer);
  }

  after(delay) {
    return new Promise((resolve) => this.start(resolve, delay));
  }

  async run(until, report) {
    await settle();
    for (;;) {
      const due = this.timers.filter((timer) => timer.due <= until);
      if (due.length === 0) break;
      const next = due.reduce((first, timer) => (timer.due < first.due ? timer : first));
      this.stop(next);
      this.now = next.due;
      try {
        next.action();
      } catch (error) {
        report(error); // zen-observable rethrows from a timer what a subscriber threw
      }
      await settle();
    }
    this.now = until;
  }
}

export let clock = new Clock();

export function restart() {
  clock = new Clock();
  return clock;
}

export async function settle() {
  for (let turn = 0; turn < SETTLING; turn += 1) await new Promise((resolve) => immediately(resolve));
}

globalThis.setTimeout = (action, delay, ...args) => clock.start(() => action(...args), delay);
globalThis.clearTimeout = (timer) => clock.stop(timer);
globalThis.setInterval = (action, delay, ...args) => {
  const interval = { timer: null };
  const next = () => {
    interval.timer = clock.start(() => {
      next();
      action(...args);
    }, delay);
  };
  next();
  return interval;
};
globalThis.clearInterval = (interval) => interval && clock.stop(interval.timer);
