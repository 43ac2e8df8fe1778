import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Progress } from "../types.ts";
import type { Exposition } from "./metrics.ts";
import { nextPace, progressDocument } from "./progress.ts";
import { codeOf, messageOf } from "./write-fully.ts";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface ServedSources {
  readonly exposition: Exposition;
  readonly progress: () => Progress;
}

export interface MetricsServer extends AsyncDisposable {
  /** The port that it listens on, also where 0 was asked for. */
  readonly port: number;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

const requestMs = 10_000;
const mostConnections = 64;

const bindProblems: Readonly<Record<string, string>> = {
  EADDRINUSE: "address in use",
  EACCES: "permission denied",
  EADDRNOTAVAIL: "no such address on this machine",
  ENOTFOUND: "unknown host name",
  EAI_AGAIN: "unknown host name",
};

/**
 * Serves `/metrics`, `/healthz` and `/progress` until it is disposed, which ends open connections at once. Never keeps
 * the process alive. Throws an Error that names the option if the address cannot be had.
 */
export async function serveMetrics({ host, port }: ListenAddress, sources: ServedSources): Promise<MetricsServer> {
  const { createServer } = await import("node:http");
  const routes = routesOf(sources);
  const server = createServer({ requestTimeout: requestMs, headersTimeout: requestMs }, (request, response) => {
    void answer(request, routes).then((result) => send(request, response, result));
  });
  server.maxConnections = mostConnections;
  server.on("connection", (socket) => socket.unref());
  await listening(server, host, port);
  server.on("error", passOver);
  server.unref();
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    [Symbol.asyncDispose]: () => closed(server),
  };
}

type Routes = Readonly<Record<string, () => Promise<Answer> | Answer>>;

function routesOf({ exposition, progress }: ServedSources): Routes {
  let pace = nextPace(undefined, progress(), performance.now());
  return {
    "/metrics": async () => ({
      status: 200,
      contentType: exposition.contentType,
      body: await exposition.metrics(),
    }),
    // Whoever answers is alive: no work and no disk can hold this thread up.
    "/healthz": () => text(200, "ok"),
    "/progress": () => {
      pace = nextPace(pace, progress(), performance.now());
      return { status: 200, contentType: "application/json", body: `${JSON.stringify(progressDocument(pace))}\n` };
    },
  };
}

async function answer(request: IncomingMessage, routes: Routes): Promise<Answer> {
  const path = request.url?.split("?", 1)[0] ?? "";
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) return text(404, "not found: try /metrics, /healthz or /progress");
  if (request.method !== "GET" && request.method !== "HEAD") return text(405, "GET or HEAD only");
  try {
    return await route();
  } catch (error) {
    return text(500, `cannot answer: ${messageOf(error)}`);
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, contentType, body }: Answer): void {
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    ...(status === 405 && { allow: "GET, HEAD" }),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

function text(status: number, line: string): Answer {
  return { status, contentType: "text/plain; charset=utf-8", body: `${line}\n` };
}

async function listening(server: Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port }, resolve);
  try {
    await promise;
  } catch (error) {
    const reason = bindProblems[codeOf(error) ?? ""] ?? messageOf(error);
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    throw new Error(`cannot listen on ${address} (--metrics-listen): ${reason}`, { cause: error });
  } finally {
    server.off("error", reject);
  }
}

/** A connection that could not be accepted, for want of descriptors, is the scraper's loss, not the copy's. */
function passOver(): void {}

async function closed(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  await promise;
}
