import type { IncomingMessage, ServerResponse } from "node:http";
import type { Credential } from "./auth.ts";
import { parseFault } from "./faults.ts";
import type { GenerateOptions } from "./generated-set.ts";
import type { Emulator } from "./server.ts";
import type { ObjectOptions } from "./stored-object.ts";

const PREFIX = "/_emulator/";

/** Whether a request is for the emulator itself rather than for OSS. */
export function isControl(request: IncomingMessage): boolean {
  return request.url?.startsWith(PREFIX) === true;
}

interface ControlRequest {
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

type Action = (emulator: Emulator, request: ControlRequest) => unknown;

/**
 * The control interface, under `/_emulator/`, unsigned and uncounted. Bodies are JSON but for the data of
 * `PUT objects?bucket=&key=&options=JSON`. What an action returns is the JSON of the answer.
 */
const actions: Readonly<Record<string, Action>> = {
  "GET counters": (emulator) => emulator.counters,
  "POST counters/reset": (emulator) => emulator.resetCounters(),
  "GET bytes-per-second": (emulator) => emulator.bytesSentPerSecond(),
  "GET requests": (emulator) => emulator.requests,
  "GET faults": (emulator) => emulator.faults.list(),
  "POST faults": (emulator, { body }) => {
    const value = json(body);
    const faults = (Array.isArray(value) ? value : [value]).map((item: unknown) => parseFault(item));
    emulator.addFaults(...faults);
  },
  "DELETE faults": (emulator) => emulator.clearFaults(),
  "PUT objects": (emulator, { query, body }) => {
    const options = query.get("options");
    // The control interface trusts its tests.
    const parsed = options === null ? {} : (json(Buffer.from(options)) as ObjectOptions);
    const object = emulator.putObject(required(query, "bucket"), required(query, "key"), body, parsed);
    return { etag: object.etag, crc64: object.crcText };
  },
  "DELETE objects": (emulator, { query }) => ({
    deleted: emulator.deleteObject(required(query, "bucket"), required(query, "key")),
  }),
  "POST objects/replace": (emulator, { query }) => {
    const size = query.get("sizeBytes");
    const object = emulator.replaceObject(
      required(query, "bucket"),
      required(query, "key"),
      size === null ? undefined : Number(size),
    );
    return { etag: object?.etag ?? null };
  },
  "POST generate": (emulator, { body }) => {
    const set = emulator.generate(json(body) as GenerateOptions & { bucket: string });
    return { count: set.count, first: set.count === 0 ? null : set.keyAt(0) };
  },
  "POST credentials": (emulator, { body }) => emulator.addCredential(json(body) as Credential),
  "DELETE credentials": (emulator, { query }) => ({
    removed: emulator.removeCredential(required(query, "accessKeyId")),
  }),
  "POST clock": (emulator, { query }) => {
    emulator.clockOffsetMs = Number(required(query, "offsetMs"));
  },
};

/** Answers a control request: 200 with JSON, 404 for an unknown one, 400 with a sentence for a wrong one. */
export function handleControl(emulator: Emulator, request: IncomingMessage, response: ServerResponse): void {
  void respond(emulator, request).then(({ status, value }) => {
    const text = JSON.stringify(value ?? {});
    response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
    response.end(text);
  });
}

async function respond(emulator: Emulator, request: IncomingMessage): Promise<{ status: number; value: unknown }> {
  const url = new URL(request.url ?? "", "http://emulator");
  const action = actions[`${request.method} ${url.pathname.slice(PREFIX.length)}`];
  if (action === undefined) return { status: 404, value: { error: "no such action", actions: Object.keys(actions) } };
  try {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(Buffer.from(part));
    return { status: 200, value: action(emulator, { query: url.searchParams, body: Buffer.concat(parts) }) };
  } catch (error) {
    return { status: 400, value: { error: String(error) } };
  }
}

function json(body: Buffer): unknown {
  return JSON.parse(body.toString("utf8"));
}

function required(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value === null) throw new TypeError(`the parameter ${name} is missing`);
  return value;
}
