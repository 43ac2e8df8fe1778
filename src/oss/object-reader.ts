/** One GET of exactly the version and the bytes that were asked for; anything else is an error, never data. */

import { CopyError } from "../errors.ts";
import type { ByteRange, ObjectHead } from "../types.ts";
import { type RefusedRequest, subjectOf } from "./error-response.ts";
import { send, type Taker } from "./exchange.ts";
import type { Flow, HttpRequest, ResponseHead, Transport } from "./http/transport.ts";
import { contentLength, objectHead, sameEtag, unquoted } from "./object-head.ts";
import { printable } from "./printable.ts";
import type { RequestBuilder } from "./request.ts";

/** Takes the body of an accepted answer; whatever it throws ends the request with that error. */
export interface BodySink {
  /** The head was accepted; called once, before any byte. */
  accept(head: ObjectHead, flow: Flow): void;
  /** Memory for the next bytes, at least one byte; undefined pauses until `flow.resume()`. */
  buffer(): Uint8Array | undefined;
  /** The first `bytes` of the memory handed out last hold the next bytes. */
  filled(bytes: number): void;
}

/** A sink that is told of the end; one of the two is the last call, and made once. */
export interface ObjectSink extends BodySink {
  /** The sink has got every byte asked for and no other. */
  ended(head: ObjectHead): void;
  /** With a CopyError that carries the body bytes received, the sink's error or the signal's reason. */
  failed(error: unknown): void;
}

export interface ReadRequest {
  readonly key: string;
  /** The version to read, as listed. */
  readonly etag: string;
  readonly objectBytes: number;
  /** A part that lies within the object and is not empty; undefined is the whole object. */
  readonly range?: ByteRange | undefined;
}

export class ObjectReader {
  readonly #transport: Transport;
  readonly #requests: RequestBuilder;

  constructor(transport: Transport, requests: RequestBuilder) {
    this.#transport = transport;
    this.#requests = requests;
  }

  /** Sends the request; the sink is told of everything else, after this call has returned. */
  start(read: ReadRequest, sink: ObjectSink, signal: AbortSignal): void {
    const asked = { operation: "get", key: read.key } as const;
    let request: HttpRequest;
    try {
      request = this.#requests.build({ method: "GET", key: read.key, headers: conditions(read) });
    } catch (error) {
      queueMicrotask(() => sink.failed(error));
      return;
    }
    send(this.#transport, request, asked, new Expectation(read, asked, sink), signal);
  }

  /** The same as a promise, which rejects with what `failed` is told; the sink may have got bytes by then. */
  read(read: ReadRequest, sink: BodySink, signal: AbortSignal): Promise<ObjectHead> {
    return new Promise((ended, failed) => {
      const told: ObjectSink = {
        accept: (head, flow) => sink.accept(head, flow),
        buffer: () => sink.buffer(),
        filled: (bytes) => sink.filled(bytes),
        ended,
        failed,
      };
      this.start(read, told, signal);
    });
  }
}

function conditions({ key, etag, objectBytes, range }: ReadRequest): Record<string, string> {
  if (range === undefined) return { "if-match": etag };
  const { start, length } = range;
  if (start < 0 || length < 1 || start + length > objectBytes) {
    throw new RangeError(`${length} bytes from ${start} are no range of the ${objectBytes} bytes of ${printable(key)}`);
  }
  // Without `standard` the service answers a range that it dislikes with the whole object.
  return {
    "if-match": etag,
    range: `bytes=${start}-${start + length - 1}`,
    "x-oss-range-behavior": "standard",
  };
}

class Expectation implements Taker<ObjectHead> {
  readonly #read: ReadRequest;
  readonly #sink: ObjectSink;
  readonly #asked: RefusedRequest;
  readonly #bodyBytes: number;
  #receivedBytes = 0;

  constructor(read: ReadRequest, asked: RefusedRequest, sink: ObjectSink) {
    this.#read = read;
    this.#asked = asked;
    this.#sink = sink;
    this.#bodyBytes = read.range?.length ?? read.objectBytes;
  }

  accept(response: ResponseHead, flow: Flow): ObjectHead {
    const { etag, objectBytes, range } = this.#read;
    const head = objectHead(response, objectBytes, this.#asked);
    if (!sameEtag(head.etag, etag)) {
      throw new CopyError(
        "changed",
        `${subjectOf(this.#asked)} has changed since it was listed: its ETag is not ${etag} any more`,
      );
    }
    this.#checkStatus(response);
    const bodyBytes = contentLength(response, this.#asked);
    if (bodyBytes !== this.#bodyBytes) {
      this.#refuse(`the answer announces ${bodyBytes} bytes where ${this.#bodyBytes} were due`);
    }
    const accepted = range === undefined ? head : { ...head, contentMd5: wholeMd5(head) };
    this.#sink.accept(accepted, flow);
    return accepted;
  }

  buffer(): Uint8Array | undefined {
    return this.#sink.buffer();
  }

  filled(bytes: number): void {
    this.#receivedBytes += bytes;
    if (this.#receivedBytes > this.#bodyBytes) this.#refuse(`more than the ${this.#bodyBytes} bytes due have arrived`);
    this.#sink.filled(bytes);
  }

  ended(head: ObjectHead): void {
    if (this.#receivedBytes === this.#bodyBytes) {
      this.#sink.ended(head);
      return;
    }
    const message = `${subjectOf(this.#asked)}: the body ended after ${this.#receivedBytes} of ${this.#bodyBytes} bytes`;
    this.failed(new CopyError("interrupted", message, { receivedBytes: this.#receivedBytes }));
  }

  failed(error: unknown): void {
    this.#sink.failed(error);
  }

  #checkStatus({ status, headers }: ResponseHead): void {
    const { objectBytes, range } = this.#read;
    if (range === undefined) {
      if (status !== 200) this.#refuse(`the whole object was asked for and the status is ${status}`);
      return;
    }
    if (status !== 206) this.#refuse(`a range was asked for and the status is ${status}`);
    const due = `bytes ${range.start}-${range.start + range.length - 1}/${objectBytes}`;
    const got = headers["content-range"];
    if (got !== due) this.#refuse(`the answer holds "${printable(got ?? "", 64)}" where "${due}" was due`);
  }

  #refuse(what: string): never {
    throw new CopyError("protocol", `${subjectOf(this.#asked)}: ${what}`);
  }
}

/** In the answer to a range it is open what a Content-MD5 covers; one that equals the ETag covers the object. */
function wholeMd5({ contentMd5, etag }: ObjectHead): string | undefined {
  if (contentMd5 === undefined) return undefined;
  const hex = Buffer.from(contentMd5, "base64").toString("hex");
  return hex === unquoted(etag).toLowerCase() ? contentMd5 : undefined;
}
