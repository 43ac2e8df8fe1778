/** One request whose refusal becomes an error; what a success must look like is the caller's business. */

import { CopyError } from "../errors.ts";
import type { Flow, HttpRequest, ResponseHandler, ResponseHead, Transport } from "../types.ts";
import { Collector } from "./collector.ts";
import { type RefusedRequest, refusal, subjectOf } from "./error-response.ts";

const maxErrorBytes = 64 * 1024;

/** Where an accepted answer goes; whatever it throws ends the request with that error. */
export interface Acceptor<T> {
  /** Called with a 2xx head only. */
  accept(head: ResponseHead, flow: Flow): T;
  buffer(): Uint8Array | undefined;
  filled(bytes: number): void;
}

/**
 * Sends `request` once and gives what `acceptor` made of the head, with the body bytes that came. Throws CopyError of the
 * kind that `classify` decides, or the transport's own, with the bytes received; or the signal's reason.
 */
export async function exchange<T>(
  transport: Transport,
  request: HttpRequest,
  asked: RefusedRequest,
  acceptor: Acceptor<T>,
  signal: AbortSignal,
): Promise<{ readonly accepted: T; readonly receivedBytes: number }> {
  const answer = new Answer(asked, acceptor);
  try {
    await transport.request(request, answer, signal);
    return { accepted: answer.end(), receivedBytes: answer.receivedBytes };
  } catch (error) {
    throw error instanceof CopyError ? withReceived(error, answer.receivedBytes) : error;
  }
}

class Answer<T> implements ResponseHandler {
  receivedBytes = 0;
  readonly #asked: RefusedRequest;
  readonly #acceptor: Acceptor<T>;
  #accepted: { readonly value: T } | undefined;
  #refused: { readonly head: ResponseHead; readonly body: Collector } | undefined;

  constructor(asked: RefusedRequest, acceptor: Acceptor<T>) {
    this.#asked = asked;
    this.#acceptor = acceptor;
  }

  head(head: ResponseHead, flow: Flow): void {
    if (head.status >= 200 && head.status < 300) this.#accepted = { value: this.#acceptor.accept(head, flow) };
    else this.#refused = { head, body: new Collector(maxErrorBytes) };
  }

  buffer(): Uint8Array | undefined {
    return this.#refused === undefined ? this.#acceptor.buffer() : this.#refused.body.buffer();
  }

  filled(bytes: number): void {
    this.receivedBytes += bytes;
    if (this.#refused === undefined) this.#acceptor.filled(bytes);
    else if (!this.#refused.body.filled(bytes)) throw this.#refusal(this.#refused);
  }

  end(): T {
    if (this.#refused !== undefined) throw this.#refusal(this.#refused);
    if (this.#accepted !== undefined) return this.#accepted.value;
    throw new CopyError("protocol", `${subjectOf(this.#asked)} got no answer`);
  }

  #refusal({ head, body }: { readonly head: ResponseHead; readonly body: Collector }): CopyError {
    return refusal(this.#asked, head, body.bytes());
  }
}

/** The same failure with the bytes that had arrived, which count against the limit all the same. */
function withReceived(error: CopyError, receivedBytes: number): CopyError {
  if (error.receivedBytes >= receivedBytes) return error;
  return new CopyError(error.kind, error.message, {
    cause: error.cause ?? error,
    receivedBytes,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
    ...(error.requestId === undefined ? {} : { requestId: error.requestId }),
    ...(error.serverTimeMs === undefined ? {} : { serverTimeMs: error.serverTimeMs }),
  });
}
