// Reads scenarios, one JSON document a line, and writes the trace of each as one line; ends with its input.
// A line with `merge` is no scenario: it asks what a handler makes of the chunks of an incremental delivery.

import { createInterface } from "node:readline";
import "./js/clock.mjs"; // before anything that could look at a clock

const write = process.stdout.write.bind(process.stdout);
for (const name of ["debug", "error", "info", "log", "warn"]) {
  console[name] = () => {}; // Apollo's advice to developers; a line of output is a trace
}

const { play } = await import("./js/play.mjs");
const { mergeChunks } = await import("./js/incremental.mjs");
for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const asked = JSON.parse(line);
    answer = asked.merge ? mergeChunks(asked.merge) : { trace: await play(asked) };
  } catch (error) {
    answer = { broken: String(error?.stack ?? error) };
  }
  write(`${JSON.stringify(answer)}\n`);
}
