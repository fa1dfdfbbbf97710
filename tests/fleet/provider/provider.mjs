// oidc-provider with rotating refresh tokens and short access tokens, and a GraphQL server that asks it about them.
// It prints its addresses as a line of JSON, answers each line of JSON with another, and ends when its input does.

import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { json } from "node:stream/consumers";

const TOKEN_LIFE = 3; // seconds
const LATENCY = 20; // milliseconds of each operation
const CLIENT = "fleet";
const ACCOUNT = "ada";
const EVENTS = [
  "grant.success",
  "grant.error",
  "grant.revoked",
  "refresh_token.saved",
  "refresh_token.consumed",
  "refresh_token.destroyed",
  "server_error",
];

console.info = console.warn = console.error; // its advice for production; stdout is for answers
const { Provider } = await import("oidc-provider");

const server = createServer();
server.listen(0, "127.0.0.1");
await once(server, "listening");
const address = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(address, {
  clients: [
    {
      client_id: CLIENT,
      token_endpoint_auth_method: "none",
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      redirect_uris: ["https://client.example/callback"],
    },
  ],
  rotateRefreshToken: true,
  scopes: ["offline_access"],
  ttl: { AccessToken: TOKEN_LIFE, RefreshToken: 3600, Grant: 3600 },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

const seen = { operations: 0, refused: 0 };
for (const event of EVENTS) {
  seen[event] = 0;
  provider.on(event, () => {
    seen[event] += 1;
  });
}
const why = [];
provider.on("grant.error", (_, error) => why.push(`${error.error}: ${error.error_detail ?? ""}`));

/** Saves what an interactive sign-in would have led to, and answers with its first tokens. */
async function signIn() {
  const client = await provider.Client.find(CLIENT);
  const grant = new provider.Grant({ accountId: ACCOUNT, clientId: CLIENT });
  grant.addOIDCScope("offline_access");
  const grantId = await grant.save();
  const granted = { accountId: ACCOUNT, client, grantId, gty: "authorization_code", scope: "offline_access" };
  return {
    grant: grantId,
    access_token: await new provider.AccessToken(granted).save(),
    refresh_token: await new provider.RefreshToken(granted).save(),
    expires_in: TOKEN_LIFE,
  };
}

async function ledger(grant) {
  return { ...seen, why, grant_lives: (await provider.Grant.find(grant)) !== undefined };
}

/** The resource server: `echo` for who has a token that the provider knows. */
async function graphql(request, response) {
  const { variables } = await json(request);
  await new Promise((resolve) => setTimeout(resolve, LATENCY));
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  const found = scheme === "Bearer" && token ? await provider.AccessToken.find(token) : undefined;
  seen.operations += 1;
  let result = { data: { echo: variables.value } };
  if (found === undefined) {
    seen.refused += 1;
    result = { data: null, errors: [{ message: "sign in", extensions: { code: "UNAUTHENTICATED" } }] };
  }
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(result));
}

const oauth2 = provider.callback();
server.on("request", (request, response) => {
  if (request.url === "/graphql") {
    graphql(request, response).catch((error) => response.destroy(error));
  } else {
    oauth2(request, response);
  }
});

const answers = { sign_in: signIn, ledger: ({ grant }) => ledger(grant) };
console.log(JSON.stringify({ graphql: `${address}/graphql`, token: `${address}/token` }));
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  console.log(JSON.stringify(await answers[command.do](command)));
}
process.exit();
