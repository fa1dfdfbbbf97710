// Apollo Server on the `graphql` that executes @defer and @stream; says what ../servers.mjs says.

import { readFileSync } from "node:fs";
import { ApolloServer } from "@apollo/server";
import { expressMiddleware } from "@as-integrations/express5";
import { legacyExecuteIncrementally } from "@yaacovcr/transform";
import express from "express";
import { GraphQLError } from "graphql";
import { makeResolvers, serve } from "../stream_resolvers.mjs";

const typeDefs = `
  ${readFileSync(new URL("../streams.graphql", import.meta.url), "utf8")}
  directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
  directive @stream(if: Boolean! = true, label: String, initialCount: Int! = 0) on FIELD
`;

/** The format of 2022 is what `legacyExecuteIncrementally` makes; a server without it refuses that format. */
async function makeApollo(options) {
  const apollo = new ApolloServer({
    typeDefs,
    resolvers: makeResolvers(GraphQLError),
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    ...options,
  });
  await apollo.start();
  const context = async ({ req }) => ({ authorization: req.headers.authorization });
  return express().use("/graphql", express.json(), expressMiddleware(apollo, { context }));
}

await serve({
  apollo: await makeApollo({ legacyExperimentalExecuteIncrementally: legacyExecuteIncrementally }),
  "apollo-alone": await makeApollo({}),
});
