// What Apollo's client does with results that come in increments, for links and for chunks by themselves.

import { ApolloLink, gql } from "@apollo/client";
import { Defer20220824Handler, GraphQL17Alpha9Handler } from "@apollo/client/incremental";
import { Observable, map } from "rxjs";

const handlers = {
  defer20220824: () => new Defer20220824Handler(),
  graphql17Alpha9: () => new GraphQL17Alpha9Handler(),
};

// What came from the server, by the merged result that was made of it.
const increments = new WeakMap();

// The handler of the client, which Apollo's links ask for the errors of a result: those of its increment are new.
export const clientsHandler = {
  isIncrementalResult: (result) => increments.has(result),
  extractErrors: (result) => increments.get(result).errors,
  prepareRequest: (request) => request,
};

// In front of a link over HTTP: asks for increments, and merges them.
export function merging(word, link) {
  const handler = handlerOf(word);
  const prepared = new WeakSet();
  const front = new ApolloLink((operation, forward) => {
    if (!prepared.has(operation)) {
      prepared.add(operation); // once, as the client does it, also where the operation comes again
      prepare(handler, operation);
    }
    return new Observable((observer) => {
      let request;
      const merged = (result) => {
        request ??= handler.startRequest({ query: labelled(handler, operation.query) });
        const whole = request.handle(undefined, result);
        increments.set(whole, { errors: handler.extractErrors(result) });
        return whole;
      };
      return forward(operation)
        .pipe(map((result) => (handler.isIncrementalResult(result) ? merged(result) : result)))
        .subscribe(observer);
    });
  });
  return front.concat(link);
}

// { handler, chunks }: what the handler gives after each chunk, and the message of the error that ends it.
export function mergeChunks({ handler: word, chunks }) {
  const handler = handlerOf(word);
  const request = handler.startRequest({ query: gql("{ a }") });
  const results = [];
  try {
    for (const chunk of chunks) {
      results.push(snapshot(request.handle(undefined, chunk)));
    }
  } catch (error) {
    return { results, error: error.message };
  }
  return { results };
}

// A copy as JSON has it, for what goes on changing; Apollo's symbols leave no trace.
export function snapshot(value) {
  return JSON.parse(JSON.stringify(value, (_, item) => (hasOnlySymbols(item) ? undefined : item)));
}

function hasOnlySymbols(value) {
  return (
    value !== null &&
    typeof value === "object" &&
    Object.keys(value).length === 0 &&
    Object.getOwnPropertySymbols(value).length > 0
  );
}

function handlerOf(word) {
  const make = handlers[word];
  if (!make) {
    throw new Error(`scenario: no handler ${word}`);
  }
  return make();
}

function prepare(handler, operation) {
  const { http, ...context } = operation.getContext();
  const request = handler.prepareRequest({ query: operation.query, context: { ...context, http: { ...http } } });
  operation.setContext(request.context);
}

// The labels that Apollo's client writes into the document are for its cache; here the handler alone sees them.
function labelled(handler, query) {
  return handler.documentTransform?.transformDocument(query) ?? query;
}
