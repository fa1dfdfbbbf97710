// A scripted WebSocket: opens, answers and is closed at virtual times, as the scenario's `sockets` say.

const states = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
const defaults = {
  connection_init: [{ send: { type: "connection_ack" } }],
  ping: [{ send: { type: "pong" } }],
};

class ScriptedWebSocket {
  static CONNECTING = states.CONNECTING;
  static OPEN = states.OPEN;
  static CLOSING = states.CLOSING;
  static CLOSED = states.CLOSED;

  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;
  readyState = states.CONNECTING;

  constructor(sockets, url, protocols) {
    this.world = sockets.world;
    this.ids = sockets.ids;
    this.owner = { operation: "socket", attempt: ++sockets.count };
    this.script = sockets.scripts[Math.min(sockets.count, sockets.scripts.length) - 1];
    this.note("ws-connect", { url, protocols: [protocols].flat() });
    const { after = 1, never = false } = this.script;
    if (!never) {
      setTimeout(() => this.answer(), after);
    }
  }

  note(event, fields) {
    this.world.noteFor(this.owner, event, fields);
  }

  // A server that refuses, or that names another protocol or none, fails the connection, as in a browser.
  answer() {
    const { fail = false, status = 101, protocol = "graphql-transport-ws" } = this.script;
    if (fail || status !== 101 || protocol !== "graphql-transport-ws") {
      this.readyState = states.CLOSED;
      this.onerror?.({ type: "error", target: this });
      this.onclose?.({ type: "close", target: this, code: 1006, reason: "", wasClean: false });
      return;
    }
    this.readyState = states.OPEN;
    this.onopen?.({ type: "open", target: this });
    this.react("open");
  }

  send(text) {
    if (this.readyState === states.CONNECTING) {
      throw new Error("InvalidStateError");
    }
    if (this.readyState !== states.OPEN) {
      return;
    }
    const message = JSON.parse(text);
    const name = message.payload?.operationName;
    if (message.type === "subscribe") {
      this.ids.learn(message.id, name);
    }
    this.note("ws-send", { message: "id" in message ? { ...message, id: this.ids.shown(message.id) } : message });
    const key = message.type === "subscribe" ? `subscribe ${name}` : message.type;
    this.react(key in (this.script.on ?? {}) ? key : message.type);
  }

  close(code, reason) {
    if (this.readyState >= states.CLOSING) {
      return;
    }
    this.readyState = states.CLOSING;
    this.note("ws-close", { code, reason });
    const { closes = 1 } = this.script;
    if (closes !== null) {
      setTimeout(() => this.end(code, reason), closes);
    }
  }

  // Steps, each later than the one before it.
  react(trigger) {
    let later = 0;
    for (const step of this.script.on?.[trigger] ?? defaults[trigger] ?? []) {
      later += step.after ?? 1;
      setTimeout(() => this.take(step), later);
    }
  }

  take({ send, text, binary, close, cut }) {
    if (this.readyState !== states.OPEN) {
      return;
    }
    if (close !== undefined) {
      const [code = 1005, reason = ""] = close;
      this.end(code, reason);
    } else if (cut) {
      this.end(1006, "");
    } else {
      const data = binary === undefined ? text ?? JSON.stringify(this.ids.named(send)) : new Blob([binary]);
      this.onmessage?.({ type: "message", target: this, data });
    }
  }

  end(code, reason) {
    this.readyState = states.CLOSED;
    this.onclose?.({ type: "close", target: this, code, reason, wasClean: code !== 1006 });
  }
}

globalThis.WebSocket = ScriptedWebSocket; // Apollo reads its constants

export class Sockets {
  constructor(scenario, world) {
    this.scripts = scenario.sockets ?? [{}];
    this.world = world;
    this.ids = new Ids();
    this.count = 0;
    const sockets = this;
    this.WebSocket = class extends ScriptedWebSocket {
      constructor(url, protocols) {
        super(sockets, url, protocols);
      }
    };
  }
}

// Identifiers are drawn at random: in scenarios and traces they are the operation's name and a number, "A#1". A
// server that says "A" means the latest of that operation. What begins with "own" stays as it is.
class Ids {
  names = new Map();
  raw = new Map();
  counts = new Map();

  learn(id, operation) {
    if (!this.names.has(id)) {
      const number = (this.counts.get(operation) ?? 0) + 1;
      this.counts.set(operation, number);
      this.names.set(id, id.startsWith("own") ? id : `${operation}#${number}`);
      this.raw.set(this.names.get(id), id);
    }
    this.raw.set(operation, id);
  }

  shown(id) {
    return this.names.get(id) ?? id;
  }

  named(message) {
    return this.raw.has(message?.id) ? { ...message, id: this.raw.get(message.id) } : message;
  }
}
