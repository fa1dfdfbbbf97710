// One scenario of links_scenarios.py through apollo-link-dedup or apollo-link-polling, on apollo-link 1.

import { gql } from "@apollo/client/core/index.js";
import link1 from "apollo-link";
import dedup from "apollo-link-dedup";
import polling from "apollo-link-polling";

import { clock } from "./clock.mjs";

const { ApolloLink, Observable, execute } = link1;

export function playApolloLink(scenario, note) {
  const link = ApolloLink.from([linkOf(scenario, note), serverOf([...(scenario.answers ?? [])], note)]);
  for (const operation of scenario.operations) clock.start(() => start(operation, link, note), operation.at ?? 0);
}

function linkOf({ link, intervals }, note) {
  if (link === "dedup") return new dedup.DedupLink();
  return new polling.PollingLink((operation) => {
    const interval = intervals[operation.operationName];
    if (typeof interval === "string") throw new Error(interval);
    return interval;
  });
}

function start({ id, name = "Q", kind = "query", variables, context, leave, again }, link, note) {
  const results = execute(link, { query: gql`${kind} ${name} { n }`, variables, context, operationName: name });
  subscribe(results, id, leave, note);
  if (again !== undefined) clock.start(() => subscribe(results, `${id} again`, undefined, note), again);
}

function subscribe(results, who, leave, note) {
  const subscription = results.subscribe({
    next: (result) => note(who, "next", result.data.n),
    error: (error) => note(who, "error", error.message),
    complete: () => note(who, "complete"),
  });
  if (leave !== undefined) clock.start(() => subscription.unsubscribe(), leave);
}

function serverOf(answers, note) {
  let count = 0;
  return new ApolloLink(
    (operation) =>
      new Observable((observer) => {
        count += 1;
        const who = `request ${count}`;
        const { after = 10, results = 1, error, never } = answers.shift() ?? {};
        const n = count;
        note(who, "send", operation.operationName);
        if (never) return () => note(who, "abort");
        const deliver = () => {
          if (error) return observer.error(new Error(error));
          for (let part = 0; part < results; part += 1) observer.next({ data: { n: n * 10 + part } });
          return observer.complete();
        };
        const timer = clock.start(deliver, after);
        return () => clock.timers.includes(timer) && (clock.stop(timer), note(who, "abort"));
      }),
  );
}
