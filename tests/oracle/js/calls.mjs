// Calls of a client over a chain: `{ "method": "query", ...options }` of an operation.

import { ApolloClient, InMemoryCache } from "@apollo/client";
import { Observable } from "rxjs";
import { clientsHandler } from "./incremental.mjs";
import { describeError } from "./vocabulary.mjs";

const documentOf = { query: "query", mutate: "mutation", subscribe: "query" };

// What a call returns, as an Observable. Queries and mutations are promises there, which send at once: they are called
// when the Observable is subscribed.
export function call(link, clientOptions, { method, ...options }, { query, variables, context, extensions }) {
  const client = new ApolloClient({ link, cache: new InMemoryCache(), incrementalHandler: clientsHandler, ...clientOptions });
  const asked = { fetchPolicy: "no-cache", [documentOf[method]]: query, variables, context, extensions, ...options };
  return method === "subscribe" ? client.subscribe(asked) : observed(() => client[method](asked));
}

function observed(begin) {
  return new Observable((observer) => {
    begin().then(
      (value) => {
        observer.next(value);
        observer.complete();
      },
      (error) => observer.error(error),
    );
  });
}

export function describeOutcome({ data, error, extensions }) {
  return { value: { data: data ?? null, ...(error && { error: describeError(error) }), ...(extensions && { extensions }) } };
}
