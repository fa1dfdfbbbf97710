// Plays one scenario through Apollo Client and returns its trace.

import { AsyncLocalStorage } from "node:async_hooks";
import { clock, settle } from "./clock.mjs";
import { ApolloClient, ApolloLink, InMemoryCache, gql } from "@apollo/client";
import { call, describeOutcome } from "./calls.mjs";
import { clientsHandler, snapshot } from "./incremental.mjs";
import { chainOf } from "./links.mjs";
import { Network } from "./network.mjs";
import { Sockets } from "./sockets.mjs";
import { describeError, describeResult } from "./vocabulary.mjs";

const defaultLimit = 10_000; // virtual milliseconds
const storage = new AsyncLocalStorage();
// Links ask the client of an operation for its version and its options.
const client = new ApolloClient({
  link: ApolloLink.empty(),
  cache: new InMemoryCache(),
  incrementalHandler: clientsHandler,
});

let current;
process.on("unhandledRejection", (reason) => current?.noteUnhandled(reason));

export async function play(scenario) {
  const world = (current = new World(scenario));
  clock.reset(scenario.random ?? [0.5], (error) => world.noteUnhandled(error));
  let chain;
  try {
    chain = chainOf(scenario.chain, world);
  } catch (error) {
    world.noteFor({ operation: "", attempt: 0 }, "refused", { error: describeError(error) });
    return world.finish();
  }
  // Set before anything runs: of two things at one moment, the one that the scenario says comes first.
  for (const operation of scenario.operations) {
    new Player(world, chain, operation, scenario.client).plan();
  }
  await clock.runUntil(scenario.until ?? defaultLimit);
  return world.finish();
}

class World {
  constructor(scenario) {
    this.trace = [];
    this.players = new Map();
    this.network = new Network(scenario, this);
    this.sockets = new Sockets(scenario, this);
    this.isOver = false;
  }

  note(event, fields) {
    this.noteFor(this.owner(), event, fields);
  }

  noteFor({ operation, attempt }, event, fields) {
    if (!this.isOver) {
      this.trace.push({ at: Math.round(clock.now * 1000) / 1000, operation, attempt, event, ...snapshot(fields ?? {}) });
    }
  }

  noteUnhandled(error) {
    this.note("unhandled", { error: describeError(error) });
  }

  // For whom the code runs now. What a batch brings comes in the name of one member to all of them, so the
  // operation's name counts more.
  owner(name) {
    const here = storage.getStore() ?? { operation: "", attempt: 0 };
    const player = this.players.get(name);
    return player === undefined || here.operation === name ? here : { operation: name, attempt: player.attempts };
  }

  // Whose request this is: of a batch each member's.
  ownersOf(body) {
    return Array.isArray(body)
      ? Object.assign(body.map((part) => this.owner(part?.operationName)), { isBatch: true })
      : [this.owner(body?.operationName)];
  }

  async finish() {
    this.isOver = true;
    this.players.forEach((player) => player.leave());
    if (this.sockets.count > 0) {
      await settle(); // who leaves a socket does so by promises, which are no part of the next scenario
    }
    clock.reset([0.5], () => {});
    current = undefined;
    return this.trace;
  }
}

class Player {
  constructor(world, chain, operation, clientOptions) {
    this.world = world;
    this.chain = chain;
    this.operation = operation;
    this.clientOptions = clientOptions;
    this.observable = undefined;
    this.attempts = 0;
    this.leavers = [];
    world.players.set(operation.id, this);
  }

  plan() {
    const { start = 0, resubscribe = [], unsubscribe = null } = this.operation;
    setTimeout(() => this.execute(), start);
    resubscribe.forEach((moment) => setTimeout(() => this.subscribe(), moment));
    [unsubscribe].flat().forEach((moment, index) => {
      if (moment !== null) {
        setTimeout(() => this.leavers[index]?.(), moment);
      }
    });
  }

  execute() {
    const { id, query, variables, context, extensions } = this.operation;
    const request = { query: gql(query ?? `query ${id} { a }`), variables, context: contextOf(context), extensions };
    storage.run({ operation: id, attempt: 1 }, () => {
      try {
        this.observable = this.operation.call
          ? call(this.chain, this.clientOptions, this.operation.call, request)
          : ApolloLink.execute(this.chain, request, { client });
        this.observable.subscribe; // a TypeError where the chain returned nothing
      } catch (error) {
        this.world.note("throw", { error: describeError(error) });
      }
    });
    this.subscribe();
  }

  subscribe() {
    if (this.observable === undefined) {
      return;
    }
    const attempt = ++this.attempts;
    const owner = { operation: this.operation.id, attempt };
    storage.run(owner, () => {
      this.world.note("start");
      const note = (event, fields) => this.world.noteFor(owner, event, fields);
      const observer = new Recorder(note, this.operation.take, this.operation.call ? describeOutcome : describeResult);
      this.leavers[attempt - 1] = () => storage.run(owner, () => observer.leave());
      observer.hold(this.observable.subscribe(observer));
    });
  }

  leave() {
    this.leavers.forEach((leave) => leave());
  }
}

// One subscriber; with `take` it leaves inside its n-th result.
class Recorder {
  constructor(note, take, describe) {
    this.note = note;
    this.left = take ?? Infinity;
    this.isOver = false;
    this.subscription = undefined;
    // Plain functions of the subscriber: RxJS calls them on an object of its own.
    this.next = (value) => {
      if (this.isOver) {
        return;
      }
      note("next", describe(value));
      this.left -= 1;
      if (this.left === 0) {
        this.leave();
      }
    };
    this.error = (error) => this.end("error", { error: describeError(error) });
    this.complete = () => this.end("complete");
  }

  hold(subscription) {
    this.subscription = subscription;
    if (this.isOver) {
      subscription.unsubscribe();
    }
  }

  leave() {
    if (!this.isOver) {
      this.end("unsubscribe");
      this.subscription?.unsubscribe();
    }
  }

  end(event, fields) {
    if (!this.isOver) {
      this.isOver = true;
      this.note(event, fields);
    }
  }
}

// A signal of the caller's own, where the scenario says when it aborts.
function contextOf(context) {
  const signal = context?.fetchOptions?.signal;
  if (!signal) {
    return context;
  }
  const controller = new AbortController();
  setTimeout(() => controller.abort(), signal.abortAfter);
  return { ...context, fetchOptions: { ...context.fetchOptions, signal: controller.signal } };
}
