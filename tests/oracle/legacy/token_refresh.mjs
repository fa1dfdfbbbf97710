// One scenario of tests/oracle/legacy/token_refresh.py through apollo-link-token-refresh.

import { ApolloLink, Observable, execute, gql } from "@apollo/client/core/index.js";
import { TokenRefreshLink } from "apollo-link-token-refresh";

import { clock } from "./clock.mjs";

export function playTokenRefresh(scenario, note) {
  const world = new World(scenario, note);
  const link = ApolloLink.from([
    new TokenRefreshLink(world.options()),
    new ApolloLink((operation) => world.answer(operation)),
  ]);
  world.link = link;
  for (const operation of scenario.operations) clock.start(() => start(operation, link, note), operation.at ?? 0);
}

function start({ id, leave, again, asleep }, link, note) {
  const results = execute(link, { query: gql`query ${id} { echo }` });
  if (!asleep) subscribe(results, id, leave, note);
  if (again !== undefined) clock.start(() => subscribe(results, `${id} again`, undefined, note), again);
}

function subscribe(results, who, leave, note) {
  const subscription = results.subscribe({
    next: (result) => note(who, "next", result.data),
    error: (error) => note(who, "error", kindOf(error)),
    complete: () => note(who, "complete"),
  });
  if (leave !== undefined) clock.start(() => subscription.unsubscribe(), leave);
}

class World {
  constructor(scenario, note) {
    this.scenario = scenario;
    this.note = note;
    this.token = scenario.token;
    this.checks = [...(scenario.checks ?? [])];
    this.fetches = [...scenario.fetches];
    this.response = new Promise((resolve) => {
      this.responded = resolve;
    });
  }

  options() {
    const { scenario } = this;
    const options = {
      isTokenValidOrUndefined: (operation) => this.check(operation),
      fetchAccessToken: () => this.fetch(),
      handleFetch: (token, operation) => this.store(token, operation),
    };
    if (scenario.field) options.accessTokenField = scenario.field;
    if (scenario.response) options.handleResponse = (operation, field) => this.read(operation, field);
    options.handleError = (error, operation) => {
      this.note("link", "handle_error", [kindOf(error), operation.operationName]);
      if (scenario.handle_error) throw new Error(scenario.handle_error);
    };
    return options;
  }

  isGood(token) {
    return token === null || !(clock.now >= (this.scenario.ends[token] ?? Infinity));
  }

  async check(operation) {
    this.note(operation.operationName, "check");
    const step = this.checks.shift() ?? {};
    const isGood = this.isGood(this.token);
    if (step.after) await clock.after(step.after);
    if (step.with_response) await this.response;
    if (step.raises) throw new Error(step.raises);
    return isGood;
  }

  fetch() {
    this.note("link", "fetch");
    const step = this.fetches.shift() ?? {};
    if (step.throws) throw new Error(step.throws);
    if (step.through_chain) return this.fetchThroughChain();
    return this.respond(step);
  }

  async respond({ after, never, raises, status, body, text }) {
    if (never) await new Promise(() => {});
    if (after) await clock.after(after);
    if (raises) throw new Error(raises);
    return response(status ?? 200, text ?? JSON.stringify(body));
  }

  fetchThroughChain() {
    return new Promise((resolve, reject) => {
      const results = execute(this.link, { query: gql`query refresh { access_token }` });
      results.subscribe((result) => resolve(response(200, JSON.stringify(result))), reject);
    });
  }

  read(operation, field) {
    const { throws, raises, path } = this.scenario.response;
    if (throws) throw new Error(throws);
    return async (answer) => {
      // The last moment: the flag is still set, and the queue is emptied before anyone can get into it.
      Promise.resolve().then(() => this.responded());
      if (raises) throw new Error(raises);
      const body = JSON.parse(await answer.text());
      return { [field]: path.reduce((part, name) => part[name], body) };
    };
  }

  store(token, operation) {
    this.note("link", "handle_fetch", [token, operation.operationName]);
    const { after, raises } = this.scenario.store ?? {};
    const finish = () => {
      if (raises) throw new Error(raises);
      this.token = token?.token ?? token;
    };
    return after ? clock.after(after).then(finish) : finish();
  }

  answer(operation) {
    const who = operation.operationName;
    const token = who === "refresh" ? null : this.token;
    if (this.scenario.broken === who) {
      this.note(who, "send", token);
      throw new Error("broken link");
    }
    return new Observable((observer) => {
      this.note(who, "send", token);
      const timer = clock.start(() => {
        observer.next({ data: who === "refresh" ? { access_token: "A1" } : { echo: who } });
        observer.complete();
      }, 10);
      return () => clock.timers.includes(timer) && (clock.stop(timer), this.note(who, "abort"));
    });
  }
}

function response(status, text) {
  return { status, headers: new Map(), text: async () => text };
}

function kindOf(error) {
  if (/Unable to retrieve new access token|Server response was missing/.test(error.message)) return "no token";
  if (error instanceof SyntaxError) return "no JSON";
  if (error.statusCode) return `status ${error.statusCode}`;
  return error instanceof TypeError ? "no token" : `raised: ${error.message}`;
}
