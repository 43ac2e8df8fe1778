/**
 * The transport for object data: HTTP/1.1 over sockets that read straight into the handlers' memory. It knows GET and HEAD,
 * no proxies and no uploads.
 */

import { Aborts } from "./aborts.ts";
import { Connection, type ConnectionOwner } from "./connection.ts";
import { Connector } from "./connector.ts";
import { interrupted } from "./failures.ts";
import { type ExchangeEvents, PendingExchange } from "./pending-exchange.ts";
import { RequestText } from "./request-text.ts";
import type { HttpRequest, Receiver, Transport } from "./transport.ts";
import type { TransportOptions } from "./transport-options.ts";
import { Watchdog } from "./watchdog.ts";

const sweepMs = 5_000;

interface Idle {
  readonly connection: Connection;
  readonly untilMs: number;
}

/**
 * A request whose kept-alive connection turns out to be closed before the first byte of an answer is sent once more, on
 * a fresh connection: that is a matter of connections, not of the service.
 */
export class SocketTransport implements Transport, ConnectionOwner, ExchangeEvents {
  readonly #options: TransportOptions;
  readonly #text: RequestText;
  readonly #connector: Connector;
  readonly #watchdog: Watchdog;
  readonly #aborts = new Aborts();
  readonly #closing = new AbortController();
  readonly #open = new Set<Connection>();
  /** The one used last is used first, so that superfluous ones grow old. */
  readonly #idle: Idle[] = [];
  /** Finished in this turn of the event loop; see `released`. */
  #cooling: Idle[] = [];
  /** Oldest first. */
  readonly #waiting: PendingExchange[] = [];
  readonly #attempts = new Set<Promise<void>>();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#text = new RequestText(options);
    this.#connector = new Connector(options);
    this.#watchdog = new Watchdog(options.timeouts, options.speedWindowMs);
  }

  send(request: HttpRequest, receiver: Receiver, signal: AbortSignal): void {
    let text: string;
    try {
      signal.throwIfAborted();
      this.#closing.signal.throwIfAborted();
      text = this.#text.of(request);
    } catch (error) {
      queueMicrotask(() => receiver.failed(error));
      return;
    }
    const exchange = new PendingExchange({ method: request.method, text, receiver, signal }, this);
    this.#aborts.add(signal, exchange);
    this.#start(exchange);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const reason = interrupted(this.#options.origin, "the connections were closed");
    this.#closing.abort(reason);
    clearInterval(this.#sweeper);
    for (const exchange of this.#waiting.splice(0)) exchange.failed(reason);
    for (const connection of this.#open) connection.fail(reason);
    this.#watchdog[Symbol.dispose]();
    await Promise.allSettled(this.#attempts);
  }

  /**
   * The connection is used again only in the next turn of the event loop: bytes that follow the body in the kernel show
   * themselves first, and are not taken for the next response.
   */
  released(connection: Connection, untilMs: number): void {
    if (this.#cooling.length === 0) setImmediate(() => this.#cool());
    this.#cooling.push({ connection, untilMs });
  }

  lost(connection: Connection): void {
    this.#open.delete(connection);
    const at = this.#idle.findIndex((idle) => idle.connection === connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#grow();
  }

  stale(exchange: PendingExchange): void {
    this.#connect().then(
      (connection) => {
        if (exchange.settled) this.#rest({ connection, untilMs: Number.POSITIVE_INFINITY });
        else exchange.startOn(connection);
      },
      (error: unknown) => exchange.failed(error),
    );
  }

  settled(exchange: PendingExchange): void {
    this.#aborts.remove(exchange.signal, exchange);
    // Where it was given up before it had a connection.
    const at = exchange.started ? -1 : this.#waiting.indexOf(exchange);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  #start(exchange: PendingExchange): void {
    const connection = this.#takeIdle();
    if (connection !== undefined) {
      exchange.startOn(connection);
      return;
    }
    this.#waiting.push(exchange);
    this.#grow();
  }

  #takeIdle(): Connection | undefined {
    const nowMs = performance.now();
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (idle.untilMs > nowMs) return idle.connection;
      idle.connection.close();
    }
    return undefined;
  }

  #cool(): void {
    const cooled = this.#cooling;
    this.#cooling = [];
    for (const idle of cooled) {
      if (idle.connection.usable) this.#rest(idle);
    }
    this.#grow();
  }

  /** Gives the connection to whoever has waited longest, or lets it rest. */
  #rest(idle: Idle): void {
    const exchange = this.#waiting.shift();
    if (exchange !== undefined) {
      exchange.startOn(idle.connection);
      return;
    }
    this.#idle.push(idle);
    this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs).unref();
  }

  /** Opens as many connections as waiting requests can use, within the bound. */
  #grow(): void {
    const wanted = this.#waiting.length - this.#cooling.length - this.#attempts.size;
    for (let i = 0; i < wanted && this.#open.size < this.#options.connections; i++) {
      this.#connect().then(
        (connection) => this.#rest({ connection, untilMs: Number.POSITIVE_INFINITY }),
        (error: unknown) => {
          this.#waiting.shift()?.failed(error);
          this.#grow();
        },
      );
    }
  }

  async #connect(): Promise<Connection> {
    const connection = new Connection(this.#options.origin, this, this.#watchdog);
    this.#open.add(connection);
    const attempt = this.#connector.connect(connection, this.#closing.signal);
    this.#attempts.add(attempt);
    try {
      await attempt;
      return connection;
    } catch (error) {
      this.#open.delete(connection);
      throw error;
    } finally {
      this.#attempts.delete(attempt);
    }
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const idle of this.#idle.filter(({ untilMs }) => untilMs <= nowMs)) idle.connection.close();
  }
}
