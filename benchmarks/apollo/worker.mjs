// Times Apollo Client's chain of four links. A line of JSON on stdin, a line of JSON on stdout; ends with its input.
//
// The first line says what to send, `{query, variables}`, and where to: `uri` for HttpLink, or `answer` for a link that
// answers with that at once. It is answered with the result of one operation. Each further line, `{count, parallel}`,
// runs so many operations, and is answered with how many results came, and with the seconds they took, on the wall and of
// the process's CPU time.

import { createInterface } from "node:readline";
import { ApolloClient, ApolloLink, InMemoryCache, gql } from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { ErrorLink } from "@apollo/client/link/error";
import { HttpLink } from "@apollo/client/link/http";
import { Observable } from "rxjs";

const token = "an-access-token"; // nobody looks at it
const client = new ApolloClient({ link: ApolloLink.empty(), cache: new InMemoryCache() }); // links ask it for its version

function fourLinks(last) {
  return ApolloLink.from([
    new SetContextLink(({ headers }) => ({ headers: { ...headers, "x-tenant": "blue" } })),
    new ErrorLink(() => {}),
    new ApolloLink((operation, forward) => {
      operation.setContext(({ headers }) => ({ headers: { ...headers, authorization: `Bearer ${token}` } }));
      return forward(operation);
    }),
    last,
  ]);
}

function answering(answer) {
  return new ApolloLink(
    () =>
      new Observable((observer) => {
        observer.next(answer);
        observer.complete();
      }),
  );
}

function send({ chain, query, variables }, observer) {
  ApolloLink.execute(chain, { query, variables }, { client }).subscribe(observer);
}

function first(way) {
  return new Promise((resolve, reject) => send(way, { next: resolve, error: reject }));
}

// Keeps so many operations under way until all are done, and counts their results.
function drive(way, count, parallel) {
  return new Promise((resolve, reject) => {
    let left = count;
    let results = 0;
    let working = Math.min(parallel, count);
    const observer = { next: () => (results += 1), error: reject, complete: goOn };
    function goOn() {
      if (left > 0) {
        left -= 1;
        send(way, observer);
      } else if (--working === 0) {
        resolve(results);
      }
    }
    for (let worker = working; worker > 0; worker -= 1) {
      goOn();
    }
  });
}

async function time(way, { count, parallel }) {
  const began = performance.now();
  const beganCpu = process.cpuUsage();
  const results = await drive(way, count, parallel);
  const { user, system } = process.cpuUsage(beganCpu);
  return { results, wall: (performance.now() - began) / 1e3, cpu: (user + system) / 1e6 };
}

let way;
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer;
  if (way === undefined) {
    const last = asked.uri === undefined ? answering(asked.answer) : new HttpLink({ uri: asked.uri });
    way = { chain: fourLinks(last), query: gql(asked.query), variables: asked.variables };
    answer = await first(way);
  } else {
    answer = await time(way, asked);
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
