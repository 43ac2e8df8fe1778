import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** How the exchange ended, seen from the client. */
export type Ending = "complete" | "closed" | "reset" | "silence";

export interface RawAnswer {
  /** Undefined if what came is no HTTP head. */
  readonly status: number | undefined;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly ending: Ending;
  /** Everything that came, head included. */
  readonly bytes: Buffer;
}

export interface RawRequest {
  readonly port: number;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Certificate to trust; its presence means TLS. */
  readonly ca?: string;
  /** Without a byte for so long the server counts as silent. */
  readonly silenceMs?: number;
  /** Reads on behind the Content-Length until silence, to see bytes that should not be there. */
  readonly readOn?: boolean;
}

/** One request on a connection of its own, without any leniency about what comes back. */
export async function rawRequest(request: RawRequest): Promise<RawAnswer> {
  const { port, ca } = request;
  const socket: Socket =
    ca === undefined
      ? connect(port, "127.0.0.1")
      : connectTls({ port, host: "127.0.0.1", ca, servername: "localhost" });
  const { promise, resolve } = Promise.withResolvers<Ending>();
  const parts: Buffer[] = [];
  socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNRESET" ? "reset" : "closed"));
  socket.on("end", () => resolve(complete(Buffer.concat(parts), request) ? "complete" : "closed"));
  socket.on("data", (data: Buffer) => {
    parts.push(data);
    if (request.readOn !== true && complete(Buffer.concat(parts), request)) resolve("complete");
  });
  socket.setTimeout(request.silenceMs ?? 5000, () => resolve("silence"));
  await once(socket, ca === undefined ? "connect" : "secureConnect");
  socket.write(render(request));
  const ending = await promise;
  socket.destroy();
  const bytes = Buffer.concat(parts);
  return { ...parse(bytes), ending, bytes };
}

function render({ method = "GET", path, port, headers = {}, body = "" }: RawRequest): string {
  const all: Record<string, string> = { Host: `127.0.0.1:${port}`, ...headers };
  if (body !== "") all["Content-Length"] = String(Buffer.byteLength(body));
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

function parse(bytes: Buffer): Pick<RawAnswer, "status" | "headers" | "body"> {
  const headers = new Map<string, string>();
  const end = bytes.indexOf("\r\n\r\n");
  const [first = "", ...lines] = bytes.subarray(0, Math.max(0, end)).toString("latin1").split("\r\n");
  const match = /^HTTP\/1\.1 (\d{3}) /.exec(first);
  if (match === null) return { status: undefined, headers, body: Buffer.alloc(0) };
  for (const line of lines) {
    const at = line.indexOf(":");
    headers.set(line.slice(0, at).toLowerCase(), line.slice(at + 1).trim());
  }
  return { status: Number(match[1]), headers, body: bytes.subarray(end + 4) };
}

function complete(bytes: Buffer, { method }: RawRequest): boolean {
  const { status, headers, body } = parse(bytes);
  if (status === undefined) return false;
  if (method === "HEAD" || status === 204 || status === 304) return true;
  if (headers.get("transfer-encoding") === "chunked") return body.subarray(-5).toString("latin1") === "0\r\n\r\n";
  return headers.has("content-length") && body.length >= Number(headers.get("content-length"));
}
