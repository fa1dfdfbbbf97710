// graphql-ws on ws, subscriptions-transport-ws and Mercurius, each on a port of its own; prints their addresses as a
// line of JSON, and ends when its input does. Ports may be given as JSON. `control` is what the tests ask: who
// listens, to restart a server, and to die.
//
// All of them are to share one `graphql`, and Mercurius requires it: that is why this is no ES module.

const { readFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { join } = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");
const Fastify = require("fastify");
const { GraphQLError, buildSchema, execute, subscribe } = require("graphql");
const { useServer } = require("graphql-ws/use/ws");
const mercurius = require("mercurius");
const { SubscriptionServer } = require("subscriptions-transport-ws");
const { WebSocketServer } = require("ws");

const HOST = "127.0.0.1";
const PERIOD = 10; // milliseconds between ticks
const typeDefs = readFileSync(join(__dirname, "websocket.graphql"), "utf8");
const listeners = new Map();

const fail = () => {
  throw new GraphQLError("on purpose", { extensions: { code: "ON_PURPOSE" } });
};

const resolvers = {
  Query: { hello: { resolve: (_, { name }) => `hello ${name}` } },
  Mutation: { reverse: { resolve: (_, { text }) => [...text].reverse().join("") } },
  Subscription: {
    count: {
      async *subscribe(_, { to, milliseconds }) {
        for (let count = 1; count <= to; count++) {
          await sleep(milliseconds);
          yield { count };
        }
      },
    },
    ticks: {
      async *subscribe(_, { key }) {
        listeners.set(key, (listeners.get(key) ?? 0) + 1);
        try {
          for (let ticks = 1; ; ticks++) {
            yield { ticks };
            await sleep(PERIOD);
          }
        } finally {
          listeners.set(key, listeners.get(key) - 1);
        }
      },
    },
    refused: { subscribe: fail },
    stumbling: {
      async *subscribe() {
        for (const number of [1, 2, 3]) yield { stumbling: { number } };
      },
    },
    breaking: {
      async *subscribe() {
        yield { breaking: 1 };
        fail();
      },
    },
  },
  Number: { value: { resolve: ({ number }) => (number === 2 ? fail() : number) } },
};

function makeSchema() {
  const schema = buildSchema(typeDefs);
  for (const [type, fields] of Object.entries(resolvers)) {
    for (const [field, functions] of Object.entries(fields)) {
      Object.assign(schema.getType(type).getFields()[field], functions);
    }
  }
  return schema;
}

/** Lets a server listen, and returns its port and how it is stopped. */
async function listen(server, port, leave) {
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, HOST, resolve));
  const stop = async () => {
    await leave();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: server.address().port, stop };
}

// Each begins anew at every start, and stops the way that its documentation says.
const starts = {
  "graphql-ws": (port) => {
    const server = createServer();
    const served = useServer({ schema: makeSchema() }, new WebSocketServer({ server, path: "/graphql" }));
    return listen(server, port, () => served.dispose());
  },
  "subscriptions-transport-ws": (port) => {
    const server = createServer();
    const served = SubscriptionServer.create({ schema: makeSchema(), execute, subscribe }, { server, path: "/graphql" });
    return listen(server, port, () => served.close());
  },
  mercurius: async (port) => {
    const app = Fastify({ forceCloseConnections: true });
    app.register(mercurius, { schema: makeSchema(), subscription: { fullWsTransport: true } });
    await app.listen({ port, host: HOST });
    return { port: app.server.address().port, stop: () => app.close() };
  },
};

const controls = {
  "/listeners": ({ key }) => listeners.get(key) ?? 0,
  "/restart": async ({ name, down }) => {
    const { port, stop } = running[name];
    await stop();
    await sleep(Number(down));
    running[name] = await starts[name](port);
    return true;
  },
  "/die": () => process.kill(process.pid, "SIGKILL"),
};

const running = {};
const control = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://control");
  response.end(JSON.stringify(await controls[pathname](Object.fromEntries(searchParams))));
});

async function main() {
  const ports = JSON.parse(process.argv[2] ?? "{}");
  for (const [name, start] of Object.entries(starts)) running[name] = await start(ports[name] ?? 0);
  running.control = await listen(control, ports.control ?? 0, () => {});
  const addresses = Object.entries(running).map(([name, { port }]) => [name, `http://${HOST}:${port}`]);
  process.stdout.write(`${JSON.stringify(Object.fromEntries(addresses))}\n`);
}

process.stdin.on("end", () => process.exit()).resume();
main();
