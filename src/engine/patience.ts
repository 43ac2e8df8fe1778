import type { RetryLimits } from "./retry.ts";

/**
 * How long a whole run has failed: what ends it when the service does not come back, whatever retries its objects have
 * left, and however many objects are still to come.
 */
export class Patience {
  readonly #limitMs: number;
  /** The first failure since the last success, or since a byte came. */
  #failingSinceMs: number | undefined;
  /** The first request that was given up since the last success. */
  #givenUpSinceMs: number | undefined;

  constructor({ retryForMs }: Pick<RetryLimits, "retryForMs">) {
    this.#limitMs = retryForMs;
  }

  /** A request succeeded, or was refused for reasons of its own: the service works. */
  answered(): void {
    this.#failingSinceMs = undefined;
    this.#givenUpSinceMs = undefined;
  }

  /** Bytes came before a request failed: slow is not dead. */
  moved(): void {
    this.#failingSinceMs = undefined;
  }

  /** A request failed that another attempt may cure. Whether the run is to give up. */
  failed(nowMs: number): boolean {
    this.#failingSinceMs ??= nowMs;
    return nowMs - this.#failingSinceMs > this.#limitMs;
  }

  /** A request has used up its retries. Whether the run is to give up: bytes that never become an object are no use. */
  gaveUp(nowMs: number): boolean {
    this.#givenUpSinceMs ??= nowMs;
    return nowMs - this.#givenUpSinceMs > this.#limitMs;
  }
}
