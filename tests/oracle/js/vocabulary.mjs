// The small fixed vocabulary of callbacks; tests/oracle/vocabulary.py says the same in Python.

import { PROTOCOL_ERRORS_SYMBOL } from "@apollo/client/errors";

// A predicate is a list, its word first. `calls` counts how often it has been asked about this operation, from 1.
export function holds(predicate, { error, operation, calls }) {
  const [word, ...values] = predicate;
  const test = predicates[word];
  if (!test) {
    throw new Error(`scenario: no predicate ${word}`);
  }
  return test(values, { error, operation, calls });
}

const predicates = {
  always: () => true,
  never: () => false,
  not: ([inner], subject) => !holds(inner, subject),
  all: (inner, subject) => inner.every((one) => holds(one, subject)),
  any: (inner, subject) => inner.some((one) => holds(one, subject)),
  first: ([count], { calls }) => calls <= count,
  "status-is": ([status], { error }) => error?.statusCode === status,
  "message-contains": ([text], { error }) => String(error?.message).includes(text),
  "code-is": ([code], { error }) => (error?.errors ?? []).some((one) => one?.extensions?.code === code),
  "close-code-is": ([code], { error }) => error?.code === code,
  "class-is": ([name], { error }) => nameOf(error) === name,
  "operation-is": ([name], { operation }) => operation.operationName === name,
  "type-is": ([type], { operation }) => operation.operationType === type,
  "context-has": ([key], { operation }) => key in operation.getContext(),
  "variable-is": ([name, value], { operation }) => operation.variables[name] === value,
};

// "NetworkError" is what the scripted fetch fails with: a TypeError in every real one. Of a socket Apollo tells by its
// text whether it was closed, or lost without a close event.
export function nameOf(error) {
  if ((error instanceof TypeError && error.message === "fetch failed") || error?.message === "Socket closed") {
    return "NetworkError";
  }
  return error?.message?.startsWith?.("Socket closed with event ") ? "SocketClosed" : error?.name;
}

// A predicate as a callback that counts its calls and may take its time: ["after", 5, predicate] promises.
export function asker(predicate) {
  const count = counter();
  const isAsync = predicate[0] === "after";
  const inner = isAsync ? predicate[2] : predicate;
  return (subject) => {
    const answer = holds(inner, { ...subject, calls: count(subject.operation) });
    return isAsync ? later(predicate[1], () => answer) : answer;
  };
}

export function later(delay, make) {
  return new Promise((resolve, reject) => {
    setTimeout(() => {
      try {
        resolve(make());
      } catch (error) {
        reject(error);
      }
    }, delay);
  });
}

// Counts the calls for each operation by itself: which of two operations comes first at one moment is left open.
export function counter() {
  const calls = new Map();
  return ({ operationName }) => {
    const n = (calls.get(operationName) ?? 0) + 1;
    calls.set(operationName, n);
    return n;
  };
}

// "{n}" in any text of a value becomes the number of the call.
export function numbered(value, n) {
  if (typeof value === "string") {
    return value.replaceAll("{n}", String(n));
  }
  if (Array.isArray(value)) {
    return value.map((item) => numbered(item, n));
  }
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, numbered(item, n)]));
  }
  return value;
}

// A result, and beside it the fatal errors of a multipart subscription that Apollo hides in it.
export function describeResult(value) {
  const hidden = value?.extensions?.[PROTOCOL_ERRORS_SYMBOL];
  return { value: value === undefined ? null : value, ...(hidden && { protocolErrors: hidden.errors }) };
}

export function describeError(error) {
  if (!(error instanceof Error)) {
    return { class: "value", value: error };
  }
  const description = { class: nameOf(error), message: error.message };
  for (const field of ["statusCode", "bodyText", "errors", "data", "extensions", "result"]) {
    if (error[field] !== undefined) {
      description[field] = error[field];
    }
  }
  return description;
}
