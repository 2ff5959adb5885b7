// The API as the console uses it: JSON in and out, problems as errors, events as they come.

const KEY = "offstage-key";
let askForKey = async () => false;

export const onKeyNeeded = (ask) => { askForKey = ask; };
export const storedKey = () => sessionStorage.getItem(KEY) ?? "";
export const storeKey = (key) => key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY);

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? String(status));
    this.status = status;
    this.code = body.code ?? "";
  }
}

const authorization = () => storedKey() ? { Authorization: `Bearer ${storedKey()}` } : {};

async function send(path, { method = "GET", json, form, signal, headers = {} } = {}) {
  const body = json === undefined ? form : JSON.stringify(json);
  const type = json === undefined ? {} : { "Content-Type": "application/json" };
  const response = await fetch(path, { method, body, signal, headers: { ...authorization(), ...type, ...headers } });
  if (response.status === 401 && await askForKey()) {
    return send(path, { method, json, form, signal, headers });
  }
  return response;
}

export async function call(path, options) {
  const response = await send(path, options);
  if (response.status === 204) return null;
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body);
  return body;
}

export async function file(path) {
  const response = await send(path);
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
  return response.blob();
}

export const get = (path, signal) => call(path, { signal });
export const post = (path, json = {}) => call(path, { method: "POST", json });

// Post and get the answer's events as they come.
export async function stream(path, json, onEvent, signal) {
  const response = await send(path, { method: "POST", json, signal, headers: { Accept: "text/event-stream" } });
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
  for await (const event of events(response.body)) onEvent(event);
}

// Follow an event stream until it ends or `signal` is aborted, over lost connections: each event once.
// EventSource would do, but cannot send a key.
export async function follow(path, onEvent, signal) {
  let last = "";
  while (!signal.aborted) {
    try {
      const response = await send(path, { signal, headers: last ? { "Last-Event-ID": last } : {} });
      if (response.status === 204) return;
      if (!response.ok) throw new Problem(response.status, await response.json().catch(() => ({})));
      for await (const event of events(response.body)) {
        last = event.id || last;
        onEvent(event);
        if (event.kind === "end") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && error.status < 500) throw error;
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
}

async function* events(body) {
  let text = "";
  for await (const chunk of chunks(body)) {
    text += chunk;
    const frames = text.split("\n\n");
    text = frames.pop();
    for (const frame of frames) {
      const event = parse(frame);
      if (event) yield event;
    }
  }
}

async function* chunks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(frame) {
  const event = { id: "", kind: "message", data: "" };
  const lines = [];
  for (const line of frame.split("\n")) {
    if (line.startsWith("id:")) event.id = line.slice(3).trim();
    else if (line.startsWith("event:")) event.kind = line.slice(6).trim();
    else if (line.startsWith("data:")) lines.push(line.slice(5).replace(/^ /, ""));
  }
  if (!lines.length) return null;
  return { ...event, data: JSON.parse(lines.join("\n")) };
}
