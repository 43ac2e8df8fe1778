import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Certificate } from "./certificate.ts";

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly certificate?: Certificate | undefined;
  /** Idle connections are closed after this. */
  readonly keepAliveMs?: number;
  /** Connections are closed after so many requests. */
  readonly maxRequestsPerConnection?: number;
  readonly onRequest: RequestListener;
  /** Once per connection, after the TLS handshake if there is one. */
  readonly onConnection?: (socket: Socket) => void;
}

/** An HTTP or HTTPS server that listens, and can reset its connections. */
export class Listener {
  readonly #server: Server;
  /** Below TLS, by the peer's port: only these can be reset. */
  readonly #raw = new Map<number, Socket>();

  private constructor(options: ListenOptions) {
    const { certificate } = options;
    const settings = { keepAliveTimeout: options.keepAliveMs ?? 60_000, requestTimeout: 0, headersTimeout: 0 };
    this.#server =
      certificate === undefined
        ? createServer(settings, options.onRequest)
        : createTlsServer(
            { ...settings, key: certificate.keyPem, cert: certificate.certificatePem },
            options.onRequest,
          );
    this.#server.maxRequestsPerSocket = options.maxRequestsPerConnection ?? 0;
    if (certificate !== undefined) this.#server.on("connection", (socket: Socket) => this.#keepRaw(socket));
    const event = certificate === undefined ? "connection" : "secureConnection";
    this.#server.on(event, (socket: Socket) => {
      // A client that goes away in the middle is part of the tests.
      socket.on("error", () => socket.destroy());
      options.onConnection?.(socket);
    });
  }

  /** Resolves when connections are accepted; rejects if the address is taken. */
  static async open(options: ListenOptions): Promise<Listener> {
    const listener = new Listener(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    listener.#server.once("error", reject);
    listener.#server.listen(options.port, options.host, 4096, resolve);
    await promise;
    listener.#server.off("error", reject);
    return listener;
  }

  get port(): number {
    // A TCP server's address is an AddressInfo.
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  /** Ends a connection with RST. */
  reset(socket: Socket): void {
    const raw = socket instanceof TLSSocket ? this.#raw.get(socket.remotePort ?? 0) : socket;
    if (raw === undefined) socket.destroy();
    else raw.resetAndDestroy();
  }

  /** Stops listening and cuts what is open. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }

  #keepRaw(socket: Socket): void {
    const port = socket.remotePort ?? 0;
    this.#raw.set(port, socket);
    socket.once("close", () => {
      if (this.#raw.get(port) === socket) this.#raw.delete(port);
    });
  }
}
