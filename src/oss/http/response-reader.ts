/**
 * Turns the bytes of one connection into responses, whoever reads them. It says where the next bytes shall go: heads,
 * chunks and whatever comes while a handler has no memory into a buffer of its own, everything else straight into the
 * handler's memory.
 */

import { ChunkedDecoder } from "./chunked-decoder.ts";
import { HeadError, HeadParser, type ParsedHead } from "./response-head.ts";
import type { Flow, ResponseHandler } from "./transport.ts";
import { maxHeadBytes } from "./transport-options.ts";

/** `paused`: nothing may be read until `resume`. `unsolicited`: bytes came that belong to no request. */
export type ReadState = "more" | "paused" | "done" | "unsolicited";

const maxInformational = 16;
/** TLS delivers what it has already read, up to three records of 16 KiB, after it was told to stop. */
const headRoomBytes = 48 * 1024;
const emptyLine = "\r\n\r\n";
const protocolName = "HTTP/1.";
const cr = 0x0d;
const lf = 0x0a;

export class ResponseReader {
  readonly #parser = new HeadParser();
  #own = Buffer.allocUnsafeSlow(maxHeadBytes);
  /** Bytes of `#own` that hold something not yet taken: [#from, #to). */
  #from = 0;
  #to = 0;
  /** Where in `#own` the last target began: a socket that was paused still reads to there first. */
  #ownTarget = 0;
  /** Up to here an unfinished head has been looked through. */
  #searched = 0;
  #state: "idle" | "head" | "length" | "chunked" | "untilClose" = "idle";
  #headRequest = false;
  #handler: ResponseHandler | undefined;
  #flow: Flow | undefined;
  /** The handler's memory that the next bytes go to, never longer than what is left of the body. */
  #memory: Uint8Array | undefined;
  #remainingBytes = 0;
  #decoder: ChunkedDecoder | undefined;
  #informational = 0;
  #keepAlive = false;
  #keepAliveMs: number | undefined;
  #receivedBytes = 0;
  #started = false;

  /** Expects the response to one request; HEAD has no body. */
  begin(method: "GET" | "HEAD", handler: ResponseHandler, flow: Flow): void {
    this.#state = "head";
    this.#headRequest = method === "HEAD";
    this.#handler = handler;
    this.#flow = flow;
    this.#informational = 0;
    this.#searched = 0;
    this.#receivedBytes = 0;
    this.#started = false;
  }

  /** Whether any byte of the present response has come. */
  get started(): boolean {
    return this.#started;
  }

  /** Bytes of the present or last body that have come, chunk framing not counted. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** After `done`: whether the connection can carry another request. */
  get reusable(): boolean {
    return this.#keepAlive && this.#from === this.#to;
  }

  /** After `done`: how long the server said it keeps the connection. */
  get keepAliveMs(): number | undefined {
    return this.#keepAliveMs;
  }

  /** Where the next bytes go; at least one byte long. */
  target(): Uint8Array {
    if (this.#memory !== undefined) return this.#memory;
    if (this.#own.length - this.#to < headRoomBytes) this.#makeRoom();
    this.#ownTarget = this.#to;
    return this.#to === 0 ? this.#own : this.#own.subarray(this.#to);
  }

  /** `bytes` have been written to the last `target`. Throws HeadError, and what the handler throws. */
  received(bytes: number): ReadState {
    if (this.#state === "idle") return "unsolicited";
    this.#started = true;
    if (this.#memory === undefined) {
      this.held(bytes);
      return this.#advance();
    }
    this.#memory = undefined;
    this.#receivedBytes += bytes;
    this.#remainingBytes -= bytes;
    this.#handler?.filled(bytes);
    return this.#advance();
  }

  /** As `received`, but while paused: the bytes wait for `resume`. */
  held(bytes: number): void {
    if (this.#from === this.#to) this.#from = this.#ownTarget;
    this.#to = this.#ownTarget + bytes;
  }

  /** The handler may have memory again. Throws as `received`. */
  resume(): ReadState {
    return this.#state === "chunked" ? this.#advanceChunks() : this.#advanceWaiting();
  }

  /** The connection has ended: whether the response is complete. */
  ended(): boolean {
    if (this.#state !== "untilClose" || this.#from !== this.#to) return false;
    this.abandon();
    return true;
  }

  /** Forgets the present response and all memory of its handler. */
  abandon(): void {
    this.#state = "idle";
    this.#memory = undefined;
    this.#handler = undefined;
    this.#flow = undefined;
    this.#keepAlive = false;
  }

  #advance(): ReadState {
    if (this.#state === "head" && !this.#parseHeads()) return "more";
    switch (this.#state) {
      case "head":
      case "idle":
        return "done";
      case "chunked":
        return this.#advanceChunks();
      case "length":
      case "untilClose":
        return this.#advanceBody();
    }
  }

  #advanceBody(): ReadState {
    const state = this.#advanceWaiting();
    if (state !== "more") return state;
    const memory = this.#handlerMemory();
    if (memory === undefined) return "paused";
    this.#memory = memory.length > this.#remainingBytes ? memory.subarray(0, this.#remainingBytes) : memory;
    return "more";
  }

  /**
   * Hands over what waits in our own buffer, and no more: while a connection is paused the socket holds our buffer, and
   * asks for another only after it has read into this one.
   */
  #advanceWaiting(): ReadState {
    if (this.#from < this.#to && this.#remainingBytes > 0) {
      this.#remainingBytes -= this.#deliver(Math.min(this.#to - this.#from, this.#remainingBytes));
      if (this.#remainingBytes > 0 && this.#from < this.#to) return "paused";
    }
    return this.#remainingBytes === 0 ? this.#finish() : "more";
  }

  #advanceChunks(): ReadState {
    const decoder = this.#decoder;
    if (decoder === undefined) return this.#finish();
    for (;;) {
      this.#from = decoder.framing(this.#own, this.#from, this.#to);
      if (decoder.ended) return this.#finish();
      const bytes = Math.min(decoder.dataBytes, this.#to - this.#from);
      if (bytes === 0) {
        this.#compact();
        return "more";
      }
      const taken = this.#deliver(bytes);
      decoder.take(taken);
      if (taken < bytes) return "paused";
    }
  }

  /** Copies up to `bytes` of our own buffer into the handler's memory; returns how many it took. */
  #deliver(bytes: number): number {
    let taken = 0;
    while (taken < bytes) {
      const memory = this.#handlerMemory();
      if (memory === undefined) break;
      const some = Math.min(memory.length, bytes - taken);
      memory.set(this.#own.subarray(this.#from, this.#from + some));
      this.#from += some;
      taken += some;
      this.#receivedBytes += some;
      this.#handler?.filled(some);
    }
    if (this.#from === this.#to) this.#compact();
    return taken;
  }

  #handlerMemory(): Uint8Array | undefined {
    const memory = this.#handler?.buffer();
    if (memory?.length === 0) throw new RangeError("a response handler gave out empty memory");
    return memory;
  }

  /** Whether the head of the response itself is through; informational ones before it are passed over. */
  #parseHeads(): boolean {
    for (;;) {
      const end = this.#own.indexOf(emptyLine, Math.max(this.#from, this.#searched - emptyLine.length), "latin1");
      if (end < 0 || end + emptyLine.length > this.#to) {
        this.#refuseHopeless();
        return false;
      }
      const head = this.#parser.parse(this.#own, this.#from, end);
      this.#from = end + emptyLine.length;
      this.#searched = 0;
      if (head.status >= 200) {
        this.#begin(head);
        return true;
      }
      if (head.status === 101) throw new HeadError("upgrade that nobody asked for");
      if (++this.#informational > maxInformational) throw new HeadError("too many informational responses");
    }
  }

  /** Half a head: refused as soon as it can no longer become a whole one, rather than waited for. */
  #refuseHopeless(): void {
    if (this.#to - this.#from >= maxHeadBytes) throw new HeadError(`head is larger than ${maxHeadBytes} bytes`);
    const start = this.#own.toString("latin1", this.#from, Math.min(this.#to, this.#from + protocolName.length));
    if (!protocolName.startsWith(start)) throw new HeadError("it is not HTTP/1.x");
    const fresh = this.#own.subarray(Math.max(this.#from, this.#searched), this.#to);
    for (let at = fresh.indexOf(lf); at >= 0; at = fresh.indexOf(lf, at + 1)) {
      if (this.#own[fresh.byteOffset - this.#own.byteOffset + at - 1] !== cr)
        throw new HeadError("line ends without CR");
    }
    this.#searched = this.#to;
  }

  #begin(head: ParsedHead): void {
    this.#keepAlive = head.keepAlive;
    this.#keepAliveMs = head.keepAliveMs;
    this.#setFraming(head);
    if (this.#from === this.#to) this.#compact();
    const flow = this.#flow;
    if (flow !== undefined) this.#handler?.head({ status: head.status, headers: head.headers }, flow);
  }

  #setFraming(head: ParsedHead): void {
    const { status, contentLength, chunked } = head;
    this.#state = "length";
    this.#remainingBytes = 0;
    if (this.#headRequest) return;
    if (status === 204 || status === 304) {
      // A body would be taken for the next response.
      if (status === 204 && (chunked || (contentLength ?? 0) > 0)) this.#keepAlive = false;
      return;
    }
    if (chunked) {
      this.#state = "chunked";
      this.#decoder = new ChunkedDecoder();
    } else if (contentLength !== undefined) {
      this.#remainingBytes = contentLength;
    } else if (status === 200 || status === 206 || head.keepAlive) {
      // A success that ends when the connection does cannot be told from one that was cut short.
      throw new HeadError(`status ${status} without the length of its body`);
    } else {
      this.#state = "untilClose";
      this.#remainingBytes = Number.POSITIVE_INFINITY;
    }
  }

  #finish(): ReadState {
    this.#state = "idle";
    this.#handler = undefined;
    this.#flow = undefined;
    this.#decoder = undefined;
    return "done";
  }

  #compact(): void {
    if (this.#from === this.#to) {
      this.#from = 0;
      this.#to = 0;
    }
  }

  #makeRoom(): void {
    const waiting = this.#own.subarray(this.#from, this.#to);
    // Needed only if a paused connection delivers more than it should be able to; a head is bounded by the buffer.
    const tooSmall = this.#state !== "head" && waiting.length + headRoomBytes > this.#own.length;
    const room = tooSmall ? Buffer.allocUnsafeSlow(2 * this.#own.length) : this.#own;
    room.set(waiting);
    this.#own = room;
    this.#searched = Math.max(0, this.#searched - this.#from);
    this.#to = waiting.length;
    this.#from = 0;
  }
}
