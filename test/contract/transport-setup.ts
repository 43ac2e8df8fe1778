/** What the parts of the contract of transports share: a server for each test and a transport to it. */
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { CopyError, type ErrorKind } from "../../src/errors.ts";
import type { HttpRequest, Transport } from "../../src/oss/http/transport.ts";
import type { TransportOptions } from "../../src/oss/http/transport-options.ts";
import { testCertificate } from "./transport-certificate.ts";
import { type RawServer, type Received, rawServer } from "./transport-server.ts";

export type Make = (options: TransportOptions) => Transport;
type Scheme = "http" | "https";

export const get: HttpRequest = { method: "GET", path: "/object", headers: {} };
export const never = new AbortController().signal;
/** With one connection it shows whether it was used again. */
export const one = { connections: 1 };

interface Setup extends AsyncDisposable {
  readonly server: RawServer;
  readonly transport: Transport;
}

export type SetUp = (
  respond: (received: Received) => void,
  options?: Partial<TransportOptions> & { scheme?: Scheme; stallMs?: number; minBytesPerSecond?: number },
) => Promise<Setup>;

/** Sets up transports of one kind. */
export function settingUp(make: Make): SetUp {
  return async (respond, options = {}) => {
    const { scheme = "http", stallMs = 10_000, minBytesPerSecond = 0, ...rest } = options;
    const server = await rawServer(respond, scheme);
    const transport = make({
      origin: { scheme, host: "127.0.0.1", port: server.port },
      connections: 4,
      timeouts: { connectMs: 5_000, stallMs, minBytesPerSecond },
      ca: scheme === "https" ? testCertificate : undefined,
      ...rest,
    });
    return {
      server,
      transport,
      async [Symbol.asyncDispose]() {
        await transport[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
      },
    };
  };
}

/** Answers with exactly these bytes, then ends the connection if told so. */
export function raw(bytes: Buffer | string, end: "keep" | "end" | "reset" = "keep"): (received: Received) => void {
  return ({ socket, reset }) => {
    socket.write(bytes, "latin1", () => {
      if (end === "end") socket.end();
      // A reset overtakes bytes that the client has not read yet.
      if (end === "reset") setTimeout(reset, 50);
    });
  };
}

export async function expectFailure(running: Promise<void>, kind: ErrorKind): Promise<CopyError> {
  const error = await running.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof CopyError)) throw new Error(`expected a CopyError, got ${String(error)}`, { cause: error });
  expect(`${error.kind}: ${error.message}`).toMatch(new RegExp(`^${kind}: `));
  return error;
}

export async function waitFor(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await sleep(5);
  expect(condition()).toBe(true);
}

export async function dribble(socket: Socket, text: string): Promise<void> {
  for (const byte of text) {
    socket.write(byte);
    await sleep(0);
  }
}

export function fail(error: Error): never {
  throw error;
}
