// A scripted fetch: answers at virtual times, and honours AbortSignal.

const encoder = new TextEncoder();
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
    const answer = this.answerTo(key);
    const { signal } = options;
    return new Promise((resolve, reject) => {
      let isOver = false;
      let stream;
      const abort = () => {
        if (!isOver) {
          isOver = true;
          note("abort", {});
          (stream ? (reason) => stream.error(reason) : reject)(signal.reason);
        }
      };
      if (signal?.aborted) {
        return abort();
      }
      signal?.addEventListener("abort", abort, { once: true });
      if (answer.never) {
        return;
      }
      setTimeout(() => {
        if (isOver) {
          return;
        }
        if (answer.fail) {
          isOver = true;
          return reject(new TypeError("fetch failed"));
        }
        const { status = 200, headers = { "content-type": "application/json" } } = answer;
        const bytes = withoutBody.has(status) ? null : encoder.encode(textOf(answer, owners));
        if (!answer.bodyAfter || bytes === null) {
          isOver = true;
          return resolve(new Response(bytes, { status, headers }));
        }
        const source = new ReadableStream({ start: (controller) => void (stream = controller) });
        setTimeout(() => {
          if (isOver) {
            return;
          }
          isOver = true;
          if (answer.cut) {
            return stream.error(new TypeError("fetch failed"));
          }
          stream.enqueue(bytes);
          stream.close();
        }, answer.bodyAfter);
        resolve(new Response(source, { status, headers }));
      }, answer.after ?? 0);
    });
  }

  // The answers to an operation are taken one after the other; the last one stays.
  answerTo(key) {
    const list = this.answers[key] ?? this.answers["*"] ?? [{}];
    const count = this.asked.get(key) ?? 0;
    this.asked.set(key, count + 1);
    return list[Math.min(count, list.length - 1)];
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function textOf(answer, owners) {
  if ("text" in answer) {
    return answer.text;
  }
  if ("body" in answer) {
    return JSON.stringify(answer.body);
  }
  const echoes = owners.map((owner) => ({ data: { echo: owner.operation } }));
  return JSON.stringify(owners.isBatch ? echoes : echoes[0]);
}
