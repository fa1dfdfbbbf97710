// GraphQL Yoga and Apollo Server on ports of the system's choice; prints their addresses as a line of JSON, and ends
// when its input does.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { ApolloServer } from "@apollo/server";
import { expressMiddleware } from "@as-integrations/express5";
import { useAPQ } from "@graphql-yoga/plugin-apq";
import express from "express";
import GraphQLUpload from "graphql-upload/GraphQLUpload.mjs";
import graphqlUploadExpress from "graphql-upload/graphqlUploadExpress.mjs";
import { createSchema, createYoga } from "graphql-yoga";
import { Accounts } from "./accounts.mjs";
import { makeResolvers } from "./resolvers.mjs";

const typeDefs = readFileSync(new URL("./schema.graphql", import.meta.url), "utf8");

/** A server whose `/gated` is `/graphql` behind a gate that wants a token before it looks at the operation. */
function listen(handler, accounts) {
  const server = createServer((request, response) => {
    if (request.url.startsWith("/gated")) {
      if (accounts.account(request.headers.authorization) === null) {
        response.writeHead(401, { "content-type": "text/plain" }).end("sign in");
        return;
      }
      request.url = request.url.replace("/gated", "/graphql");
    }
    handler(request, response);
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

function startYoga() {
  const accounts = new Accounts();
  const resolvers = makeResolvers(accounts, async (file) => ({
    filename: file.name,
    mimetype: file.type,
    content: Buffer.from(await file.arrayBuffer()),
  }));
  const yoga = createYoga({
    schema: createSchema({ typeDefs, resolvers }),
    context: ({ request }) => ({ authorization: request.headers.get("authorization") }),
    batching: true,
    graphiql: false,
    logging: false,
    plugins: [useAPQ()],
  });
  return listen(yoga, accounts);
}

async function startApollo() {
  const accounts = new Accounts();
  const resolvers = makeResolvers(accounts, async (upload) => {
    const { filename, mimetype, createReadStream } = await upload;
    return { filename, mimetype, content: await buffer(createReadStream()) };
  });
  const apollo = new ApolloServer({
    typeDefs,
    resolvers: { ...resolvers, Upload: GraphQLUpload },
    allowBatchedHttpRequests: true,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  await apollo.start();
  const context = async ({ req }) => ({ authorization: req.headers.authorization });
  const app = express();
  app.use("/graphql", express.json(), graphqlUploadExpress(), expressMiddleware(apollo, { context }));
  return listen(app, accounts);
}

process.stdin.on("end", () => process.exit()).resume();
const [yoga, apollo] = await Promise.all([startYoga(), startApollo()]);
process.stdout.write(`${JSON.stringify({ yoga, apollo })}\n`);
