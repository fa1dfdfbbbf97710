// What the two JavaScript servers answer; strawberry_server.py answers the same.

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { GraphQLError } from "graphql";

/** @param read reads an upload: `{ filename, mimetype, content }`. */
export function makeResolvers(accounts, read) {
  const viewer = (context, extensions = {}) => {
    const account = accounts.account(context.authorization);
    if (account === null) {
      throw new GraphQLError("sign in", { extensions: { code: "UNAUTHENTICATED", ...extensions } });
    }
    return { account, name: account };
  };
  const fail = () => {
    throw new GraphQLError("on purpose", { extensions: { code: "ON_PURPOSE" } });
  };
  const info = async (upload) => {
    const { filename, mimetype, content } = await read(upload);
    return { filename, mimetype, sha256: createHash("sha256").update(content).digest("hex") };
  };
  return {
    Query: {
      hello: (_, { name }) => `hello ${name}`,
      echo: (_, { input }) => input,
      optional: fail,
      required: fail,
      slow: (_, { milliseconds }) => sleep(milliseconds, "at last"),
      viewer: (_, __, context) => viewer(context),
      guarded: (_, __, context) => viewer(context, { http: { status: 401 } }),
      refreshes: (_, { account }) => accounts.refreshes(account),
    },
    Mutation: {
      rename: (_, { name }, context) => ({ ...viewer(context), name }),
      refresh: (_, { account }) => accounts.refresh(account),
      singleUpload: (_, { file }) => info(file),
      multipleUpload: (_, { files }) => Promise.all(files.map(info)),
      nestedUpload: (_, { input }) => Promise.all(input.files.map(info)),
      guardedUpload: (_, { file }, context) => viewer(context) && info(file),
    },
  };
}
