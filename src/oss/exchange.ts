/** One request whose refusal becomes an error; what a success must look like is the caller's business. */

import { CopyError } from "../errors.ts";
import { Collector } from "./collector.ts";
import { type RefusedRequest, refusal, subjectOf } from "./error-response.ts";
import type { Flow, HttpRequest, Receiver, ResponseHead, Transport } from "./http/transport.ts";

const maxErrorBytes = 64 * 1024;

/** Where an accepted answer goes; whatever it throws ends the request with that error. */
export interface Acceptor<T> {
  /** Called with a 2xx head only. */
  accept(head: ResponseHead, flow: Flow): T;
  buffer(): Uint8Array | undefined;
  filled(bytes: number): void;
}

/** An acceptor that is told of the end; one of the two is the last call, and made once. */
export interface Taker<T> extends Acceptor<T> {
  /** With what `accept` made of the head, and the body bytes that came. */
  ended(accepted: T, receivedBytes: number): void;
  /** With CopyError of the kind that `classify` decides, or the transport's own, with the bytes received; or the signal's reason. */
  failed(error: unknown): void;
}

/** Sends `request` once; `taker` is told of everything else, after this call has returned. */
export function send<T>(
  transport: Transport,
  request: HttpRequest,
  asked: RefusedRequest,
  taker: Taker<T>,
  signal: AbortSignal,
): void {
  transport.send(request, new Answer(asked, taker), signal);
}

/** The same as a promise. */
export function exchange<T>(
  transport: Transport,
  request: HttpRequest,
  asked: RefusedRequest,
  acceptor: Acceptor<T>,
  signal: AbortSignal,
): Promise<{ readonly accepted: T; readonly receivedBytes: number }> {
  return new Promise((resolve, reject) => {
    const taker: Taker<T> = {
      accept: (head, flow) => acceptor.accept(head, flow),
      buffer: () => acceptor.buffer(),
      filled: (bytes) => acceptor.filled(bytes),
      ended: (accepted, receivedBytes) => resolve({ accepted, receivedBytes }),
      failed: reject,
    };
    send(transport, request, asked, taker, signal);
  });
}

class Answer<T> implements Receiver {
  readonly #asked: RefusedRequest;
  readonly #taker: Taker<T>;
  #receivedBytes = 0;
  #accepted: { readonly value: T } | undefined;
  #refused: { readonly head: ResponseHead; readonly body: Collector } | undefined;

  constructor(asked: RefusedRequest, taker: Taker<T>) {
    this.#asked = asked;
    this.#taker = taker;
  }

  head(head: ResponseHead, flow: Flow): void {
    if (head.status >= 200 && head.status < 300) this.#accepted = { value: this.#taker.accept(head, flow) };
    else this.#refused = { head, body: new Collector(maxErrorBytes) };
  }

  buffer(): Uint8Array | undefined {
    return this.#refused === undefined ? this.#taker.buffer() : this.#refused.body.buffer();
  }

  filled(bytes: number): void {
    this.#receivedBytes += bytes;
    if (this.#refused === undefined) this.#taker.filled(bytes);
    else if (!this.#refused.body.filled(bytes)) throw this.#refusal(this.#refused);
  }

  ended(): void {
    if (this.#refused !== undefined) this.failed(this.#refusal(this.#refused));
    else if (this.#accepted !== undefined) this.#taker.ended(this.#accepted.value, this.#receivedBytes);
    else this.failed(new CopyError("protocol", `${subjectOf(this.#asked)} got no answer`));
  }

  failed(error: unknown): void {
    this.#taker.failed(error instanceof CopyError ? withReceived(error, this.#receivedBytes) : error);
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
