/** A security token service and a credentials URI of our own, and a place for token files. */

import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testCertificate, testKey } from "../contract/transport-certificate.ts";
import { listen } from "../contract/transport-server.ts";

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** False leaves the clock of the server out. */
  readonly sendDate?: boolean;
}

/** `destroy` closes the connection without an answer. */
export type Script = (call: number, form: URLSearchParams) => Answer | "destroy";

export interface FakeServer extends AsyncDisposable {
  readonly port: number;
  readonly forms: URLSearchParams[];
  respond: Script;
}

export async function startSts(respond: Script): Promise<FakeServer> {
  return await start(respond, (listener) => createHttpsServer({ key: testKey, cert: testCertificate }, listener));
}

export async function startUri(respond: Script): Promise<FakeServer> {
  return await start(respond, (listener) => createHttpServer(listener));
}

async function start(
  respond: Script,
  create: (listener: NonNullable<Parameters<typeof createHttpServer>[1]>) => Server,
): Promise<FakeServer> {
  const forms: URLSearchParams[] = [];
  const fake = { port: 0, forms, respond };
  const server = create((request, response) => {
    let text = "";
    request.on("data", (chunk) => {
      text += String(chunk);
    });
    request.on("end", () => {
      const form = new URLSearchParams(text);
      const answer = fake.respond(forms.push(form), form);
      if (answer === "destroy") return request.socket.destroy();
      response.sendDate = answer.sendDate ?? true;
      response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
      return response.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body));
    });
  });
  fake.port = await listen(server);
  return Object.assign(fake, {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

/** What STS answers: credentials that carry `name`, for `seconds` from now. */
export function session(name: string, seconds = 3600): Answer {
  return { status: 200, body: { RequestId: "R", Credentials: keys(name, seconds) } };
}

/** What a credentials URI answers. */
export function keys(name: string, seconds = 3600) {
  return {
    AccessKeyId: `id-${name}`,
    AccessKeySecret: `secret-${name}`,
    SecurityToken: `token-${name}`,
    Expiration: new Date(Date.now() + seconds * 1000).toISOString().replace(/\.\d+Z$/, "Z"),
  };
}

export async function temporaryDirectory(): Promise<AsyncDisposable & { path: (name: string) => string }> {
  const root = await mkdtemp(join(tmpdir(), "credentials-"));
  return {
    path: (name) => join(root, name),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}
