/** One request of the socket transport from the queue to its end; settles once. */

import type { Abortable } from "./aborts.ts";
import type { Connection, Exchange } from "./connection.ts";
import type { Receiver } from "./transport.ts";

export interface ExchangeRequest extends Pick<Exchange, "method" | "text"> {
  readonly receiver: Receiver;
  readonly signal: AbortSignal;
}

export interface ExchangeEvents {
  /** Sends the request once more on a fresh connection. */
  stale(exchange: PendingExchange): void;
  /** Called once, before the receiver is told. */
  settled(exchange: PendingExchange): void;
}

export class PendingExchange implements Exchange, Abortable {
  bagIndex = -1;
  readonly method: "GET" | "HEAD";
  readonly text: string;
  readonly handler: Receiver;
  readonly signal: AbortSignal;
  readonly #events: ExchangeEvents;
  #connection: Connection | undefined;
  #started = false;
  #settled = false;

  constructor(request: ExchangeRequest, events: ExchangeEvents) {
    this.method = request.method;
    this.text = request.text;
    this.handler = request.receiver;
    this.signal = request.signal;
    this.#events = events;
  }

  /** Whether it has ever had a connection. */
  get started(): boolean {
    return this.#started;
  }

  get settled(): boolean {
    return this.#settled;
  }

  startOn(connection: Connection): void {
    this.#connection = connection;
    this.#started = true;
    connection.start(this);
  }

  /** The caller wants no more of it: closes its connection if it has one. */
  giveUp(reason: unknown): void {
    this.#connection?.close();
    this.failed(reason);
  }

  done(): void {
    this.#settle();
    this.handler.ended();
  }

  /** Does nothing after the end: a connection that was to replace another may fail when nobody waits for it any more. */
  failed(error: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.handler.failed(error);
  }

  stale(): void {
    this.#connection = undefined;
    // A fresh connection cannot be stale, so there is no third time.
    this.#events.stale(this);
  }

  #settle(): void {
    this.#settled = true;
    this.#connection = undefined;
    this.#events.settled(this);
  }
}
