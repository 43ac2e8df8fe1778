/** One kept-alive connection of the socket transport: one request at a time, read straight into its handler's memory. */
import type { OnReadOpts, Socket } from "node:net";
import type { CopyError } from "../../errors.ts";
import { codeOf, interrupted, malformed, reasonOf, withReceived } from "./failures.ts";
import { HeadError } from "./response-head.ts";
import { type ReadState, ResponseReader } from "./response-reader.ts";
import type { ResponseHandler } from "./transport.ts";
import { maxIdleMs, type Origin } from "./transport-options.ts";
import type { Watch, Watchdog } from "./watchdog.ts";

/** A request that waits for or has a connection. */
export interface Exchange {
  readonly method: "GET" | "HEAD";
  /** The request's head as it goes on the wire. */
  readonly text: string;
  readonly handler: ResponseHandler;
  done(): void;
  failed(error: unknown): void;
  /** The kept-alive connection was closed before the first byte of an answer. */
  stale(): void;
}

export interface ConnectionOwner {
  /** The connection can take a request until `untilMs` (of `performance.now()`). */
  released(connection: Connection, untilMs: number): void;
  /** The connection will never take a request again. Called once. */
  lost(connection: Connection): void;
}

/** We stop using a connection this long before the server said it would. */
const keepAliveMarginMs = 1_000;

export class Connection {
  readonly #origin: Origin;
  readonly #owner: ConnectionOwner;
  readonly #watchdog: Watchdog;
  readonly #reader = new ResponseReader();
  #socket: Socket | undefined;
  #exchange: Exchange | undefined;
  #watch: Watch | undefined;
  #served = 0;
  #paused = false;
  #resuming = false;
  /** What ended the connection while its last bytes waited for memory. */
  #ending: { readonly error: Error | undefined } | undefined;
  #lost = false;

  constructor(origin: Origin, owner: ConnectionOwner, watchdog: Watchdog) {
    this.#origin = origin;
    this.#owner = owner;
    this.#watchdog = watchdog;
  }

  /** For the socket that will be given to `attach`. */
  readonly onread: OnReadOpts = {
    buffer: () => this.#reader.target(),
    callback: (bytes) => this.#received(bytes),
  };

  attach(socket: Socket): void {
    this.#socket = socket;
    socket.on("error", (error) => this.#ended(error));
    socket.on("end", () => this.#ended(undefined));
    socket.on("close", () => this.#ended(undefined));
  }

  /** Whether a request may be started: nothing has ended the connection. */
  get usable(): boolean {
    return !this.#lost;
  }

  start(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#watch = this.#watchdog.watch((error) => this.#failed(error));
    this.#reader.begin(exchange.method, exchange.handler, { resume: () => this.#resumeFor(exchange) });
    this.#socket?.write(exchange.text, "latin1");
  }

  /** Ends the present request with exactly `error` and closes the connection. */
  fail(error: unknown): void {
    const exchange = this.#exchange;
    this.close();
    exchange?.failed(error);
  }

  /** Gives up the present request, whose promise is somebody else's, and closes the connection. */
  close(): void {
    this.#drop();
    this.#exchange = undefined;
  }

  /** False stops the reading. */
  #received(bytes: number): boolean {
    this.#watch?.received(bytes);
    if (this.#paused) {
      // TLS goes on until it has delivered what it had already read.
      this.#reader.held(bytes);
      return false;
    }
    let state: ReadState;
    try {
      state = this.#reader.received(bytes);
    } catch (error) {
      this.#thrown(error);
      return false;
    }
    return this.#act(state);
  }

  #act(state: ReadState): boolean {
    switch (state) {
      case "more":
        return true;
      case "paused":
        this.#paused = true;
        this.#watch?.pause();
        return false;
      case "done":
        this.#finish();
        return !this.#lost;
      case "unsolicited":
        this.#drop();
        return false;
    }
  }

  #finish(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#unwatch();
    this.#served++;
    if (this.#reader.reusable && this.#ending === undefined) {
      const saidMs = this.#reader.keepAliveMs;
      const idleMs = saidMs === undefined ? maxIdleMs : Math.min(saidMs - keepAliveMarginMs, maxIdleMs);
      if (idleMs > 0) this.#owner.released(this, performance.now() + idleMs);
      else this.#drop();
    } else {
      this.#drop();
    }
    exchange?.done();
  }

  /** Deferred: a handler may call it from its own callbacks, where the reader is still at work. */
  #resumeFor(exchange: Exchange): void {
    if (this.#resuming || this.#exchange !== exchange) return;
    this.#resuming = true;
    queueMicrotask(() => {
      this.#resuming = false;
      if (this.#paused && this.#exchange === exchange) this.#resume();
    });
  }

  #resume(): void {
    this.#paused = false;
    let state: ReadState;
    try {
      state = this.#reader.resume();
    } catch (error) {
      this.#thrown(error);
      return;
    }
    if (!this.#act(state)) return;
    if (this.#ending !== undefined && this.#exchange !== undefined) {
      this.#endWith(this.#ending.error);
      return;
    }
    this.#watch?.resume();
    this.#socket?.resume();
  }

  #ended(error: Error | undefined): void {
    if (this.#lost) return;
    this.#ending ??= { error };
    if (this.#exchange === undefined) this.#drop();
    else if (!this.#paused) this.#endWith(this.#ending.error);
  }

  /** The connection has ended and all its bytes have been taken. */
  #endWith(error: Error | undefined): void {
    const exchange = this.#exchange;
    if (error === undefined && this.#reader.ended()) {
      this.#finish();
      return;
    }
    if (exchange !== undefined && this.#served > 0 && !this.#reader.started && isClosing(error)) {
      this.#exchange = undefined;
      // First, so that the replacement takes this connection's place and not one more.
      exchange.stale();
      this.#drop();
      return;
    }
    const where = this.#reader.started ? "in the response" : "before the response";
    const reason = error === undefined ? "connection closed" : reasonOf(error);
    this.#failed(interrupted(this.#origin, `${reason} ${where}`, error));
  }

  /** What the reader throws is a broken response, or the handler's own error, which stays as it is. */
  #thrown(error: unknown): void {
    if (error instanceof HeadError) this.#failed(malformed(this.#origin, error.message, error));
    else this.fail(error);
  }

  #failed(error: CopyError): void {
    this.fail(withReceived(error, this.#reader.receivedBytes));
  }

  #drop(): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#unwatch();
    // From here on what TLS still delivers must not go to the handler's memory.
    this.#reader.abandon();
    this.#socket?.destroy();
    this.#owner.lost(this);
  }

  #unwatch(): void {
    this.#watchdog.unwatch(this.#watch);
    this.#watch = undefined;
  }
}

function isClosing(error: Error | undefined): boolean {
  const code = codeOf(error);
  return error === undefined || code === "ECONNRESET" || code === "EPIPE";
}
