// GraphQL Yoga, which answers in pieces by multipart and by SSE, and graphql-sse; says what servers.mjs says.

import { readFileSync } from "node:fs";
import { useDeferStream } from "@graphql-yoga/plugin-defer-stream";
import { useGraphQLSSE } from "@graphql-yoga/plugin-graphql-sse";
import { GraphQLError } from "graphql";
import { createHandler } from "graphql-sse/lib/use/http";
import { createSchema, createYoga } from "graphql-yoga";
import { makeResolvers, serve } from "./stream_resolvers.mjs";

const typeDefs = readFileSync(new URL("./streams.graphql", import.meta.url), "utf8");
const makeSchema = () => createSchema({ typeDefs, resolvers: makeResolvers(GraphQLError) });

/** `/graphql` has the distinct connections mode of its own, and `/graphql/stream` the plugin with both modes. */
const yoga = createYoga({
  schema: makeSchema(),
  context: ({ request }) => ({ authorization: request.headers.get("authorization") }),
  graphiql: false,
  logging: false,
  plugins: [useDeferStream(), useGraphQLSSE()],
});

const sse = createHandler({
  schema: makeSchema(),
  context: ({ headers }) => ({ authorization: headers.get("authorization") }),
});

/** Ends the answer when its source has broken, as the documentation of graphql-sse says. */
const handleSse = (request, response) => sse(request, response).catch(() => response.destroy());

// The plugin of Yoga lets the failure of a source through to the process, which would end with it.
process.on("unhandledRejection", () => {});

await serve({ yoga, "graphql-sse": handleSse });
