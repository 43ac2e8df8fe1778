/** One request of the socket transport from the queue to its end; settles once. */
import type { ResponseHandler } from "../../types.ts";
import type { Connection, Exchange } from "./connection.ts";

export class PendingExchange implements Exchange {
  readonly method: "GET" | "HEAD";
  readonly text: string;
  readonly handler: ResponseHandler;
  readonly outcome: Promise<void>;
  readonly #resolve: () => void;
  readonly #reject: (reason: unknown) => void;
  #connection: Connection | undefined;
  settled = false;
  /** Sends the request once more on a fresh connection. */
  onStale: () => void = () => {};

  constructor(method: "GET" | "HEAD", text: string, handler: ResponseHandler) {
    this.method = method;
    this.text = text;
    this.handler = handler;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.outcome = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  startOn(connection: Connection): void {
    this.#connection = connection;
    connection.start(this);
  }

  /** The caller wants no more of it: closes its connection if it has one. */
  giveUp(reason: unknown): void {
    this.#connection?.close();
    this.failed(reason);
  }

  done(): void {
    this.settled = true;
    this.#connection = undefined;
    this.#resolve();
  }

  failed(error: unknown): void {
    this.settled = true;
    this.#connection = undefined;
    this.#reject(error);
  }

  stale(): void {
    this.#connection = undefined;
    // A fresh connection cannot be stale, so there is no third time.
    this.onStale();
  }
}
