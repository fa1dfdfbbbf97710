// Every link of the scenarios, by its word. Options are Apollo's, in milliseconds; callbacks are the vocabulary's.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { ApolloLink } from "@apollo/client/link";
import { BatchLink } from "@apollo/client/link/batch";
import { BatchHttpLink, BaseBatchHttpLink } from "@apollo/client/link/batch-http";
import { ClientAwarenessLink } from "@apollo/client/link/client-awareness";
import { SetContextLink, setContext } from "@apollo/client/link/context";
import { ErrorLink } from "@apollo/client/link/error";
import { BaseHttpLink, HttpLink } from "@apollo/client/link/http";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { KEEP, RemoveTypenameFromVariablesLink } from "@apollo/client/link/remove-typename";
import { RetryLink } from "@apollo/client/link/retry";
import { SchemaLink } from "@apollo/client/link/schema";
import { buildSchema, print } from "graphql";
import { EMPTY, NEVER, Observable, concat, concatMap, defer, from, map, merge, mergeMap, of, throwError, timer } from "rxjs";
import { merging } from "./incremental.mjs";
import { graphqlWs } from "./subscriptions.mjs";
import { asker, counter, describeError, describeResult, later, numbered } from "./vocabulary.mjs";

const defaultUri = "http://server.test/graphql";

export function chainOf(specs, world) {
  return ApolloLink.from(specs.map((spec) => linkOf(spec, world)));
}

function linkOf({ link, ...options }, world) {
  const build = builders[link];
  if (!build) {
    throw new Error(`scenario: no link ${link}`);
  }
  return build(options, world);
}

const builders = {
  from: ({ links }, world) => chainOf(links, world),
  concat: ({ links }, world) => ApolloLink.concat(...links.map((spec) => linkOf(spec, world))),
  // The method: a.concat(b, c)
  "concat-method": ({ links }, world) => {
    const [first, ...rest] = links.map((spec) => linkOf(spec, world));
    return first.concat(...rest);
  },
  empty: () => ApolloLink.empty(),
  split: ({ test, left, right }, world) => {
    const ask = asker(test);
    const choose = (operation) => ask({ operation });
    return right === undefined
      ? ApolloLink.split(choose, chainOf(left, world))
      : ApolloLink.split(choose, chainOf(left, world), chainOf(right, world));
  },
  observe: (options, world) => observing(options, world),
  handler: (options) => handling(options),
  error: ({ handler }, world) => new ErrorLink(answering(handler, world)),
  context: (options, world) => contextLink(options, world),
  http: ({ incremental, ...options }, world) => {
    const link = new HttpLink(httpOptions(options, world));
    return incremental ? merging(incremental, link) : link;
  },
  "base-http": (options, world) => new BaseHttpLink(httpOptions(options, world)),
  retry: ({ delay: wait, attempts }) => new RetryLink({ delay: waitOf(wait), attempts: attemptsOf(attempts) }),
  batch: ({ batchKey, batchHandler, ...options }, world) =>
    new BatchLink({ ...options, batchKey: batchKeyOf(batchKey), batchHandler: batchHandlerOf(batchHandler, world) }),
  "batch-http": ({ batchKey, ...options }, world) =>
    new BatchHttpLink({ ...httpOptions(options, world), batchKey: batchKeyOf(batchKey) }),
  "base-batch-http": ({ batchKey, ...options }, world) =>
    new BaseBatchHttpLink({ ...httpOptions(options, world), batchKey: batchKeyOf(batchKey) }),
  "persisted-queries": (options, world) => persistedQueries(options, world),
  "remove-typename": ({ except } = {}) =>
    except === undefined
      ? new RemoveTypenameFromVariablesLink()
      : new RemoveTypenameFromVariablesLink({ except: keeping(except) }),
  "client-awareness": (options) => new ClientAwarenessLink(options),
  schema: (options) => schemaLink(options),
  "graphql-ws": (options, world) => graphqlWs(options, world),
};

// Notes what passes at its place in the chain; `shows` names what it notes of the operation: "variables",
// "extensions", "query", or "context." and a key.
function observing({ label, shows = [] }, world) {
  const shown = (operation) =>
    Object.fromEntries(
      shows.map((name) => {
        const [part, key] = name.split(".");
        const value = part === "context" ? operation.getContext()[key] : operation[part];
        return [name, part === "query" ? print(value) : value === undefined ? null : value];
      }),
    );
  return new ApolloLink((operation, forward) => {
    return new Observable((observer) => {
      const owner = world.owner(operation.operationName);
      const note = (what, fields) => world.noteFor(owner, "observe", { label, what, ...fields });
      let isOver = false;
      note("start", shows.length ? { shown: shown(operation) } : {});
      const subscription = forward(operation).subscribe({
        next: (value) => {
          note("next", describeResult(value));
          observer.next(value);
        },
        error: (error) => {
          isOver = true;
          note("error", { error: describeError(error) });
          observer.error(error);
        },
        complete: () => {
          isOver = true;
          note("complete");
          observer.complete();
        },
      });
      return () => {
        if (!isOver) {
          isOver = true;
          note("unsubscribe");
        }
        subscription.unsubscribe();
      };
    });
  });
}

// A link of users' kind: a plain request handler.
function handling(options) {
  const count = counter();
  return new ApolloLink((operation, forward) => {
    return actions[options.do]({ ...options, operation, forward, n: count(operation) });
  });
}

// What handlers do, of links and of errors alike; each returns an Observable, or something wrong.
const actions = {
  forward: ({ operation, forward }) => forward(operation),
  "forward-twice": ({ operation, forward }) => concat(forward(operation), forward(operation)),
  "forward-both": ({ operation, forward }) => merge(forward(operation), forward(operation)),
  "forward-later": ({ operation, forward, after }) => timer(after).pipe(mergeMap(() => forward(operation))),
  // As the token refresh recipe does it: fromPromise(...).flatMap(() => forward(operation)).
  "wait-and-forward": ({ operation, forward, after, header, value, n }) =>
    from(later(after, () => true)).pipe(
      mergeMap(() => {
        if (header) {
          setHeader(operation, header, numbered(value, n));
        }
        return forward(operation);
      }),
    ),
  "set-header": ({ operation, forward, header, value, n }) => {
    setHeader(operation, header, numbered(value, n));
    return forward(operation);
  },
  "set-context": ({ operation, forward, set, n }) => {
    operation.setContext(numbered(set, n));
    return forward(operation);
  },
  "set-variables": ({ operation, forward, set }) => {
    operation.variables = { ...operation.variables, ...set };
    return forward(operation);
  },
  "set-extensions": ({ operation, forward, set }) => {
    operation.extensions = { ...operation.extensions, ...set };
    return forward(operation);
  },
  "map-result": ({ operation, forward, set }) => forward(operation).pipe(map((result) => ({ ...result, ...set }))),
  "delay-result": ({ operation, forward, after }) => 
    forward(operation).pipe(concatMap((result) => timer(after).pipe(map(() => result)))),
  // Values at virtual times after the subscription, then an error or the end; `values` are [after, result].
  answer: ({ values, error, after, ends = true, n }) => answered({ values, error, after, ends, n }),
  fail: ({ message, n }) => throwError(() => new Error(numbered(message, n))),
  empty: () => EMPTY,
  never: () => NEVER,
  throw: ({ message }) => {
    throw new Error(message);
  },
  nothing: () => undefined,
  wrong: ({ value }) => value,
  // Fails at once, or while being subscribed, as often as it says; then it forwards.
  "fail-first": ({ operation, forward, count, message, n }) =>
    n <= count ? throwError(() => new Error(numbered(message, n))) : forward(operation),
  "throw-first": ({ operation, forward, count, message, n }) => {
    if (n <= count) {
      throw new Error(numbered(message, n));
    }
    return forward(operation);
  },
};

function setHeader(operation, header, value) {
  operation.setContext(({ headers }) => ({ headers: { ...headers, [header]: value } }));
}

function answered({ values = [], error, after = 0, ends, n }) {
  const steps = values.map(([moment, value]) => timer(moment).pipe(map(() => numbered(value, n))));
  const end = !ends ? NEVER : error === undefined ? EMPTY : defer(() => throwError(() => new Error(numbered(error, n))));
  const last = after > 0 ? timer(after).pipe(mergeMap(() => end)) : end;
  // One after the other; a value at 0 comes at once.
  const started = values.map(([moment, value], index) => (moment === 0 ? of(numbered(value, n)) : steps[index]));
  return concat(...started, last);
}

// Rules of an error handler: the first whose predicate holds decides; none lets the error pass.
function answering(rules, world) {
  const asked = rules.map(({ when = ["always"] }) => asker(when));
  const count = counter();
  return ({ error, operation, forward }) => {
    world.noteFor(world.owner(operation.operationName), "handler", { error: describeError(error) });
    const index = rules.findIndex((_, number) => asked[number]({ error, operation }));
    if (index === -1) {
      return undefined;
    }
    const rule = rules[index];
    return rule.do === "pass" ? undefined : actions[rule.do]({ ...rule, operation, forward, n: count(operation) });
  };
}

function contextLink({ set, merge: merged, after, rejects, throws, when = ["always"], legacy = false }) {
  const ask = asker(when);
  const count = counter();
  const decide = (previous, n) => {
    if (throws !== undefined) {
      throw new Error(throws);
    }
    const update = { ...(set && numbered(set, n)) };
    for (const [key, values] of Object.entries(merged ?? {})) {
      update[key] = { ...previous[key], ...numbered(values, n) };
    }
    return set === null ? undefined : update;
  };
  const setter = (previous, operation) => {
    if (!ask({ operation })) {
      return {};
    }
    if (rejects !== undefined) {
      return later(after ?? 0, () => {
        throw new Error(rejects);
      });
    }
    const n = count(operation);
    return after === undefined ? decide(previous, n) : later(after, () => decide(previous, n));
  };
  return legacy ? setContext((operation, previous) => setter(previous, operation)) : new SetContextLink(setter);
}

function httpOptions({ uri = defaultUri, print: printer, ...options }, world) {
  const { byOperation } = uri;
  const chosen = byOperation ? (operation) => byOperation[operation.operationName] ?? defaultUri : uri;
  const printing = printer === "compact" ? { print: (ast, original) => original(ast).replace(/\s+/g, " ") } : {};
  return { ...options, ...printing, uri: chosen, fetch: world.network.fetch };
}

// A list of milliseconds, one for each retry; or Apollo's options.
function waitOf(wait) {
  return Array.isArray(wait) ? (count) => wait[Math.min(count, wait.length) - 1] : wait;
}

// A predicate in the place of the whole function, or Apollo's options with one as `retryIf`.
function attemptsOf(attempts) {
  if (Array.isArray(attempts)) {
    const ask = asker(attempts);
    return (count, operation, error) => ask({ error, operation });
  }
  if (!attempts?.retryIf) {
    return attempts;
  }
  const ask = asker(attempts.retryIf);
  return { ...attempts, retryIf: (error, operation) => ask({ error, operation }) };
}

// "operation-name", or a context key.
function batchKeyOf(key) {
  if (key === undefined) {
    return undefined;
  }
  return (operation) => String(key === "operation-name" ? operation.operationName : (operation.getContext()[key] ?? ""));
}

// What a batch is answered with: { answers: [[after, [result, ...] or "echo"], ...], error, ends }.
function batchHandlerOf(handler, world) {
  if (handler === undefined) {
    return undefined;
  }
  const count = counter();
  return (operations) => {
    const n = count(operations[0]);
    const names = operations.map((operation) => operation.operationName);
    for (const name of names) {
      world.noteFor(world.owner(name), "batch", { members: names });
    }
    if (handler.throws !== undefined) {
      throw new Error(handler.throws);
    }
    const echo = names.map((name) => ({ data: { echo: name } }));
    const values = (handler.answers ?? []).map(([after, value]) => [after, value === "echo" ? echo : value]);
    return answered({ ...handler, values, ends: handler.ends ?? true, n });
  };
}

function persistedQueries({ hash = "sha256", after, disable, retry, ...options }, world) {
  const sha256 = (text) => {
    const digest = () => createHash("sha256").update(text).digest("hex");
    if (hash === "throws") {
      throw new Error("no hash");
    }
    return after === undefined ? digest() : later(after, digest);
  };
  const asking = (predicate) => {
    const ask = asker(predicate);
    return ({ error, operation }) => ask({ error, operation });
  };
  return new PersistedQueryLink({
    ...options,
    ...(hash === "name"
      ? { generateHash: (query) => `hash of ${query.definitions[0].name.value}` }
      : { sha256 }),
    ...(disable && { disable: asking(disable) }),
    ...(retry && { retry: asking(retry) }),
  });
}

// "KEEP" in a scenario is Apollo's KEEP.
function keeping(value) {
  if (value === "KEEP") {
    return KEEP;
  }
  return value !== null && typeof value === "object"
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, keeping(item)]))
    : value;
}

// The one schema of the scenarios.
const schema = buildSchema(readFileSync(new URL("../schema.graphql", import.meta.url), "utf8"));

function schemaLink({ context, validate }) {
  let count = 0;
  const sumOf = (points) => points.reduce((sum, { x, y = 0, inner = [] }) => sum + x + (y ?? 0) + sumOf(inner ?? []), 0);
  const resolvers = {
    hello: ({ name }) => `hello ${name ?? "you"}`,
    later: ({ ms, fails }) =>
      later(ms, () => {
        if (fails) {
          throw new Error("late failure");
        }
        return "at last";
      }),
    fail: ({ message }) => {
      throw new Error(message);
    },
    required: () => null,
    user: () => ({ name: "Ada", friend: { name: "Grace", friend: null } }),
    sum: ({ points }) => sumOf(points),
    fromContext: ({ key }, contextValue) => contextValue?.[key] ?? null,
    bump: ({ by }) => (count += by ?? 1),
  };
  return new SchemaLink({ schema, validate, rootValue: resolvers, context: schemaContext(context) });
}

// { value }, or { byName: true } for a function of the operation, with `after` or `throws`.
function schemaContext(context) {
  if (context === undefined || "value" in context) {
    return context?.value;
  }
  return (operation) => {
    if (context.throws !== undefined) {
      throw new Error(context.throws);
    }
    const value = { operation: operation.operationName };
    return context.after === undefined ? value : later(context.after, () => value);
  };
}
