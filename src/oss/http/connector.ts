/** Opens TCP and TLS connections to one origin, over all of its addresses, within one time limit. */
import { connect as connectTcp, type OnReadOpts, type Socket } from "node:net";
import type { ConnectionOptions, connect as ConnectTls, SecureContext } from "node:tls";
import { abortable } from "./aborts.ts";
import { Addresses } from "./addresses.ts";
import { unreachable } from "./failures.ts";
import { type Origin, serverName, type TransportOptions } from "./transport-options.ts";

/** What a socket becomes part of: its bytes go to `onread` from the start. */
export interface Attachable {
  readonly onread: OnReadOpts;
  attach(socket: Socket): void;
}

/** What only HTTPS needs. */
interface Tls {
  readonly connect: typeof ConnectTls;
  readonly context: SecureContext;
}

/** Who is connected to, and how: in the clear without `tls`. */
interface Peer {
  readonly address: string;
  readonly tls: Tls | undefined;
}

export class Connector {
  readonly #options: TransportOptions;
  readonly #origin: Origin;
  readonly #connectMs: number;
  readonly #addresses: Addresses;
  /** One for all connections, also those opened meanwhile: a context of trusted certificates takes 30 ms of CPU. */
  #tls: Promise<Tls> | undefined;
  /** The last TLS session, so that the next connection needs no full handshake. */
  #session: Buffer | undefined;

  constructor(options: TransportOptions, addresses: Addresses = new Addresses(options.origin.host)) {
    this.#options = options;
    this.#origin = options.origin;
    this.#connectMs = options.timeouts.connectMs;
    this.#addresses = addresses;
  }

  /** Attaches a connection that is ready for a request. Rejects with CopyError `unreachable`, or the signal's reason. */
  async connect(target: Attachable, signal: AbortSignal): Promise<void> {
    const deadlineMs = performance.now() + this.#connectMs;
    let failure: unknown;
    try {
      if (this.#origin.scheme === "https") this.#tls ??= loadTls(this.#options.ca);
      const tls = await this.#tls;
      const addresses = await abortable(within(this.#connectMs, this.#addresses.inOrder()), signal);
      for (const [i, address] of addresses.entries()) {
        // An address that swallows everything leaves the others their share of the time.
        const timeoutMs = (deadlineMs - performance.now()) / (addresses.length - i);
        failure = await this.#attempt({ address, tls }, target, timeoutMs, signal);
        signal.throwIfAborted();
        if (failure === undefined) return;
        this.#addresses.failed(address);
      }
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
    throw unreachable(this.#origin, failure);
  }

  /** Resolves with the failure, or undefined when the socket is attached. */
  #attempt(peer: Peer, target: Attachable, timeoutMs: number, signal: AbortSignal): Promise<Error | undefined> {
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    const socket = this.#open(peer, target.onread);
    const timer = setTimeout(() => socket.destroy(failureOf("timed out", "ETIMEDOUT")), Math.max(timeoutMs, 1));
    const abort = (): unknown => socket.destroy();
    const settle = (failure: Error | undefined): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      socket.off("error", settle).off("close", closed);
      // Late errors of a socket that was given up have nobody to go to.
      if (failure === undefined) target.attach(socket.setNoDelay(true));
      else socket.on("error", () => {});
      resolve(failure);
    };
    const closed = (): void => settle(new Error("connection closed in the handshake"));
    signal.addEventListener("abort", abort, { once: true });
    socket.once(peer.tls === undefined ? "connect" : "secureConnect", () => settle(undefined));
    socket.on("error", settle).on("close", closed);
    return promise;
  }

  #open({ address, tls }: Peer, onread: OnReadOpts): Socket {
    const { port } = this.#origin;
    if (tls === undefined) return connectTcp({ host: address, port, onread });
    const { connect: connectTls, context } = tls;
    const name = serverName(this.#origin);
    const options: ConnectionOptions & { readonly onread: OnReadOpts } = {
      host: address,
      port,
      onread,
      // Given, or NODE_TLS_REJECT_UNAUTHORIZED could take the verification away.
      rejectUnauthorized: true,
      secureContext: context,
      ALPNProtocols: ["http/1.1"],
      ...(name === undefined ? {} : { servername: name }),
      ...(this.#session === undefined ? {} : { session: this.#session }),
    };
    const socket = connectTls(options);
    socket.on("session", (session: Buffer) => {
      this.#session = session;
    });
    return socket;
  }
}

/** Loaded with the first connection that needs it: plain HTTP saves the time. */
async function loadTls(ca: string | undefined): Promise<Tls> {
  const [{ connect }, { secureContext }] = await Promise.all([import("node:tls"), import("./trust.ts")]);
  return { connect, context: secureContext(ca) };
}

/** `promise`, or the failure that a silent name server gives after its own, longer time. */
async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(failureOf("look-up timed out", "EAI_AGAIN")), timeoutMs).unref();
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function failureOf(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}
