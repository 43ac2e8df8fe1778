/** Servers that write whatever a test wants on the wire, byte for byte, and handlers that receive in awkward ways. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { Flow, ResponseHandler, ResponseHead } from "../../src/oss/http/transport.ts";
import { testCertificate, testKey } from "./transport-certificate.ts";

export interface Received {
  readonly socket: Socket;
  /** The request's head as it came, without the empty line. */
  readonly head: string;
  /** Numbers from 0: of the connection, and of the request on it. */
  readonly connection: number;
  readonly request: number;
  /** Ends the connection with an RST, under TLS as well. */
  reset(): void;
}

export interface RawServer extends AsyncDisposable {
  readonly port: number;
  readonly heads: string[];
  readonly connections: number;
  /** Connections that are open now. */
  readonly open: number;
}

export async function rawServer(
  respond: (received: Received) => void,
  scheme: "http" | "https",
  host?: string,
  /** Called before a connection's first request. */
  greet: (opened: Pick<Received, "socket" | "reset">) => void = () => {},
): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const heads: string[] = [];
  let connections = 0;
  const secureContext = createSecureContext({ key: testKey, cert: testCertificate });
  const server = createServer((plain) => {
    const socket = scheme === "https" ? new TLSSocket(plain, { isServer: true, secureContext }) : plain;
    const connection = connections++;
    let request = 0;
    let pending = "";
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    plain.on("error", () => socket.destroy());
    // What is to be written after a handshake that never comes would keep it open on our side.
    let isShaken = scheme === "http";
    socket.once("secure", () => {
      isShaken = true;
    });
    socket.once("end", () => {
      if (!isShaken) socket.destroy();
    });
    const reset = (): unknown => plain.resetAndDestroy();
    greet({ socket, reset });
    socket.on("data", (chunk) => {
      pending += chunk.toString("latin1");
      for (let end = pending.indexOf("\r\n\r\n"); end >= 0; end = pending.indexOf("\r\n\r\n")) {
        const head = pending.slice(0, end);
        pending = pending.slice(end + 4);
        heads.push(head);
        respond({ socket, head, connection, request: request++, reset });
      }
    });
  });
  const port = await listen(server, host);
  return {
    port,
    heads,
    get connections() {
      return connections;
    },
    get open() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

export async function listen(server: Server, host = "127.0.0.1"): Promise<number> {
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address() as AddressInfo; // a TCP server that listens has no other kind
  return address.port;
}

/** Bytes that differ at every place where a misplaced copy could start. */
export function pattern(bytes: number): Buffer {
  const body = Buffer.allocUnsafe(bytes);
  for (let i = 0; i < bytes; i++) body[i] = (i * 31 + (i >> 8) * 17 + (i >> 16)) & 0xff;
  return body;
}

export function ok(body: Uint8Array | string, headers = ""): Buffer {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n${headers}\r\n`), bytes]);
}

/** Keeps the whole body; hands out memory of `bufferBytes` and, where `pause` says so, none for a moment. */
export class Collector implements ResponseHandler {
  readonly #bufferBytes: number;
  readonly #pause: () => boolean;
  readonly #chunks: Buffer[] = [];
  #memory: Buffer | undefined;
  #flow: Flow | undefined;
  headSeen: ResponseHead | undefined;
  heads = 0;
  pauses = 0;

  constructor(bufferBytes = 64 * 1024, pause: () => boolean = () => false) {
    this.#bufferBytes = bufferBytes;
    this.#pause = pause;
  }

  head(head: ResponseHead, flow: Flow): void {
    this.heads++;
    this.headSeen = head;
    this.#flow = flow;
  }

  buffer(): Uint8Array | undefined {
    if (this.#memory === undefined && this.#pause()) {
      this.pauses++;
      setImmediate(() => this.#flow?.resume());
      return undefined;
    }
    this.#memory ??= Buffer.alloc(this.#bufferBytes);
    return this.#memory;
  }

  filled(bytes: number): void {
    if (this.#memory === undefined) throw new Error("filled without memory");
    if (bytes < 1 || bytes > this.#memory.length) throw new Error(`filled ${bytes} of ${this.#memory.length}`);
    this.#chunks.push(this.#memory.subarray(0, bytes));
    this.#memory = undefined;
  }

  get body(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}
