// GraphQLWsLink over a client of graphql-ws, whose options are as there, in milliseconds.

import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { createClient } from "graphql-ws";
import { holds, later, numbered } from "./vocabulary.mjs";

const defaultUrl = "wss://server.test/graphql";

export function graphqlWs({ url = defaultUrl, connectionParams, retryWait, shouldRetry, ...options }, world) {
  const { keepAliveTimeout, generateID, retryAttempts = 5, ...plain } = options;
  return new GraphQLWsLink(
    createClient({
      ...plain,
      retryAttempts: retryAttempts ?? Infinity,
      url: calling(url),
      connectionParams: calling(connectionParams),
      ...(retryWait && { retryWait: waiting(retryWait, world) }),
      ...(shouldRetry && { shouldRetry: asking(shouldRetry) }),
      ...(keepAliveTimeout && { on: closingWithoutPong(keepAliveTimeout) }),
      generateID: naming(generateID),
      onNonLazyError: (problem) => world.noteFor({ operation: "", attempt: 0 }, "non-lazy", { code: problem?.code ?? null }),
      webSocketImpl: world.sockets.WebSocket,
    }),
  );
}

// The default draws from Math.random, which has few numbers to give.
function naming(generateID) {
  let count = 0;
  const names = { own: ({ operationName }) => `own ${operationName}` };
  return generateID?.throws === undefined ? (names[generateID] ?? (() => `id ${++count}`)) : throwing(generateID);
}

function throwing({ throws }) {
  return () => {
    throw new Error(throws);
  };
}

// A value, or { byCall: a value with the number of the call in it, after, throws }.
function calling(value) {
  if (value?.byCall === undefined) {
    return value;
  }
  const { byCall, after, throws } = value;
  let calls = 0;
  return () => {
    const made = numbered(byCall, ++calls);
    const make = () => {
      if (throws !== undefined) {
        throw new Error(throws);
      }
      return made;
    };
    return after === undefined ? make() : later(after, make);
  };
}

// A list of milliseconds, one for each retry; as the other functions it may be { throws } instead.
function waiting(waits, world) {
  if (waits.throws !== undefined) {
    return throwing(waits);
  }
  return (retries) => {
    world.noteFor({ operation: "socket", attempt: world.sockets.count }, "ws-retry", { retries });
    return later(waits[Math.min(retries, waits.length - 1)], () => {});
  };
}

function asking(predicate) {
  if (predicate.throws !== undefined) {
    return throwing(predicate);
  }
  let calls = 0;
  return (problem) => holds(predicate, { error: described(problem), calls: ++calls });
}

// What it is asked about is an event, not an error.
function described(problem) {
  return problem instanceof Error ? problem : { ...problem, message: `${problem.code ?? ""} ${problem.reason ?? ""}` };
}

// As the recipe of graphql-ws does it, whose own keep-alive asks but does not listen.
function closingWithoutPong(timeout) {
  let active, timer;
  return {
    opened: (socket) => (active = socket),
    ping: (isReceived) => {
      if (!isReceived) {
        timer = setTimeout(() => active.close(4408, "Request Timeout"), timeout);
      }
    },
    pong: (isReceived) => {
      if (isReceived) {
        clearTimeout(timer);
      }
    },
  };
}
