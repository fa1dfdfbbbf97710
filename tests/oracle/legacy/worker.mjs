// Plays scenarios through the original links: one JSON scenario a line on stdin, one JSON trace a line on stdout.

import { createInterface } from "node:readline";

import { playApolloLink } from "./apollo_link.mjs";
import { clock, restart, settle } from "./clock.mjs";
import { playTokenRefresh } from "./token_refresh.mjs";

const players = { "apollo-link": playApolloLink, "token-refresh": playTokenRefresh };

let note = () => {};
process.on("unhandledRejection", (error) => note("link", "unhandled", error?.message));

for await (const line of createInterface({ input: process.stdin })) {
  const scenario = JSON.parse(line);
  const events = [];
  restart();
  note = (who, what, detail = null) => events.push([who, clock.now, what, detail]);
  players[scenario.player](scenario, note);
  await clock.run(scenario.until, (error) => note("link", "unhandled", error.message));
  await settle();
  process.stdout.write(`${JSON.stringify(events)}\n`);
}
