// A scripted fetch: answers at virtual times, and honours AbortSignal.

import { bytesAtOnce, headersOf, piecesOf } from "./bodies.mjs";

const withoutBody = new Set([204, 205, 304]);

export class Network {
  constructor(scenario, world) {
    this.answers = scenario.server ?? {};
    this.asked = new Map();
    this.world = world;
    this.fetch = this.fetch.bind(this);
  }

  fetch(url, options) {
    const body = options.body === undefined ? null : parsed(options.body);
    const owners = this.world.ownersOf(body);
    const key = owners.map((owner) => owner.operation).join("+");
    const note = (event, fields) => owners.forEach((owner) => this.world.noteFor(owner, event, fields));
    note("request", { method: options.method ?? "GET", url, headers: { ...options.headers }, body });
    return new Exchange(this.answerTo(key), owners, () => note("abort", {})).run(options.signal);
  }

  // The answers to an operation are taken one after the other; the last one stays.
  answerTo(key) {
    const list = this.answers[key] ?? this.answers["*"] ?? [{}];
    const count = this.asked.get(key) ?? 0;
    this.asked.set(key, count + 1);
    return list[Math.min(count, list.length - 1)];
  }
}

// One request and its answer.
class Exchange {
  constructor(answer, owners, noteAbort) {
    this.answer = answer;
    this.owners = owners;
    this.noteAbort = noteAbort;
    this.isOver = false;
    this.stream = undefined;
  }

  run(signal) {
    return new Promise((resolve, reject) => {
      const abort = () => this.leave(() => (this.stream ? this.stream.error(signal.reason) : reject(signal.reason)));
      if (signal?.aborted) {
        return abort();
      }
      signal?.addEventListener("abort", abort, { once: true });
      if (!this.answer.never) {
        this.later(this.answer.after ?? 0, () => this.answerWith(resolve, reject));
      }
    });
  }

  answerWith(resolve, reject) {
    const { fail, status = 200 } = this.answer;
    if (fail) {
      return this.end(() => reject(new TypeError("fetch failed")));
    }
    const head = { status, headers: headersOf(this.answer) };
    if (withoutBody.has(status)) {
      return this.end(() => resolve(new Response(null, head)));
    }
    const pieces = piecesOf(this.answer, this.owners);
    if (pieces === null) {
      return this.end(() => resolve(new Response(bytesAtOnce(this.answer, this.owners), head)));
    }
    const start = (controller) => void (this.stream = controller);
    // The client may also leave by leaving the body, as at the end of a multipart stream.
    const source = new ReadableStream({ start, cancel: () => this.leave(() => {}) });
    this.send(pieces);
    resolve(new Response(source, head));
  }

  send([[after, bytes], ...rest]) {
    this.later(after, () => {
      if (bytes.length > 0) {
        this.stream.enqueue(bytes);
      }
      if (rest.length > 0) {
        this.send(rest);
      } else if (this.answer.cut) {
        // A stream that breaks forgets what nobody has read yet.
        this.later(0, () => this.end(() => this.stream.error(new TypeError("fetch failed"))));
      } else {
        this.end(() => this.stream.close());
      }
    });
  }

  later(delay, action) {
    setTimeout(() => {
      if (!this.isOver) {
        action();
      }
    }, delay);
  }

  leave(action) {
    if (!this.isOver) {
      this.end(() => {
        this.noteAbort();
        action();
      });
    }
  }

  end(action) {
    this.isOver = true;
    action();
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
