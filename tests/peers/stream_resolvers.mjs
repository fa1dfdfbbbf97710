// What the JavaScript servers that answer in pieces have in common; stream_servers.py answers the same.
//
// There is no `graphql` here: the servers do not agree on its version.

import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Accounts } from "./accounts.mjs";

const HOST = "127.0.0.1";
const PERIOD = 10; // milliseconds between ticks
const NAMES = ["Ada", "Grace", "Joan"];

/** What waits until the tests say so: each release lets one go, now or when it comes. */
class Signals {
  #keys = new Map();

  #of(key) {
    if (!this.#keys.has(key)) this.#keys.set(key, { kept: 0, waiting: [] });
    return this.#keys.get(key);
  }

  release(key) {
    const signal = this.#of(key);
    const go = signal.waiting.shift();
    if (go) go(key);
    else signal.kept += 1;
    return true;
  }

  waiting(key) {
    return this.#of(key).waiting.length;
  }

  wait(key) {
    const signal = this.#of(key);
    if (!signal.kept) return new Promise((resolve) => signal.waiting.push(resolve));
    signal.kept -= 1;
    return Promise.resolve(key);
  }
}

const accounts = new Accounts();
const signals = new Signals();
const listeners = new Map();
const ticks = new Map();

async function* tick(key) {
  listeners.set(key, (listeners.get(key) ?? 0) + 1);
  try {
    for (let tick = 1; ; tick++) {
      ticks.set(key, tick);
      yield tick;
      await sleep(PERIOD);
    }
  } finally {
    listeners.set(key, listeners.get(key) - 1);
  }
}

async function* paced(values, key) {
  for (const [number, value] of values.entries()) {
    if (number && key != null) await signals.wait(key);
    yield value;
  }
}

const numbersTo = (to) => Array.from({ length: to }, (_, index) => index + 1);

/** Gives each value its field's name, as the roots of events have it. */
async function* as(name, values) {
  for await (const value of values) yield { [name]: value };
}

/** @param GraphQLError the class of the server's own `graphql`. */
export function makeResolvers(GraphQLError) {
  const fail = () => {
    throw new GraphQLError("on purpose", { extensions: { code: "ON_PURPOSE" } });
  };
  const viewer = ({ authorization }) => {
    const account = accounts.account(authorization);
    if (account === null) throw new GraphQLError("sign in", { extensions: { code: "UNAUTHENTICATED" } });
    return { account };
  };
  const signalled = (_, { key }) => signals.wait(key);
  const people = ({ name }) => NAMES.filter((other) => other !== name).map((other) => ({ name: other }));
  const visitors = (person) => paced(people(person));
  return {
    Query: {
      hello: (_, { name }) => `hello ${name}`,
      person: () => ({ name: NAMES[0] }),
      people: () => people({}),
      visitors: () => visitors({}),
      letters: (_, { key }) => paced(["a", "b", "c"], key),
      numbers: (_, { key }) => tick(key),
      signalled,
      viewer: (_, __, context) => viewer(context),
    },
    Mutation: {
      reverse: (_, { text }) => [...text].reverse().join(""),
    },
    Subscription: {
      count: {
        async *subscribe(_, { to, milliseconds }) {
          for (const count of numbersTo(to)) {
            await sleep(milliseconds);
            yield { count };
          }
        },
      },
      ticks: { subscribe: (_, { key }) => as("ticks", tick(key)) },
      signals: { subscribe: (_, { key, to }) => as("signals", paced(numbersTo(to), key)) },
      refused: { subscribe: fail },
      stumbling: { subscribe: () => as("stumbling", paced(numbersTo(3).map((number) => ({ number })))) },
      breaking: {
        async *subscribe() {
          yield { breaking: 1 };
          fail();
        },
      },
      mine: { subscribe: (_, __, context) => as("mine", paced([viewer(context).account])) },
    },
    Person: {
      email: ({ name }) => `${name.toLowerCase()}@example.org`,
      friends: people,
      visitors,
      signalled,
      optional: fail,
      required: fail,
    },
    Number: { value: ({ number }) => (number === 2 ? fail() : number) },
  };
}

/** What the tests ask: who listens or waits, what is being answered, to cut that, to release what waits, for tokens. */
const controls = {
  "/listeners": ({ key }) => listeners.get(key) ?? 0,
  "/ticks": ({ key }) => ticks.get(key) ?? 0,
  "/waiting": ({ key }) => signals.waiting(key),
  "/answers": ({ name }) => answers.get(name) ?? 0,
  "/cut": ({ name }) => servers[name].closeAllConnections() ?? true,
  "/release": ({ key }) => signals.release(key),
  "/refresh": ({ account }) => accounts.refresh(account),
  "/refreshes": ({ account }) => accounts.refreshes(account),
};

const control = async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://control");
  response.end(JSON.stringify(await controls[pathname](Object.fromEntries(searchParams))));
};

const servers = {};
const answers = new Map();

async function listen(name, handler) {
  servers[name] = createServer((request, response) => {
    answers.set(name, (answers.get(name) ?? 0) + 1);
    response.once("close", () => answers.set(name, answers.get(name) - 1));
    handler(request, response);
  });
  await new Promise((resolve) => servers[name].listen(0, HOST, resolve));
  return [name, `http://${HOST}:${servers[name].address().port}`];
}

/** Serves on ports of the system's choice, prints the addresses as a line of JSON, and ends when the input does. */
export async function serve(handlers) {
  process.stdin.on("end", () => process.exit()).resume();
  const listening = Object.entries({ ...handlers, control }).map(([name, handler]) => listen(name, handler));
  process.stdout.write(`${JSON.stringify(Object.fromEntries(await Promise.all(listening)))}\n`);
}
