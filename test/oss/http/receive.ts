/** A socket and a handler for the response reader, which deliver and take bytes in whatever portions a test wants. */
import fc from "fast-check";
import { expect } from "vitest";
import { HeadError } from "../../../src/oss/http/response-head.ts";
import { type ReadState, ResponseReader } from "../../../src/oss/http/response-reader.ts";
import type { ResponseHandler, ResponseHead } from "../../../src/oss/http/transport.ts";

export interface Delivery {
  /** Sizes of the reads that the bytes come in, repeated as needed. */
  readonly reads: readonly number[];
  /** Sizes of the handler's memory, repeated; 0 is no memory. */
  readonly buffers: readonly number[];
  /** Reads that still come after a pause, as under TLS. */
  readonly lateReads: number;
}

export interface Result {
  readonly head: ResponseHead | undefined;
  readonly body: string;
  readonly outcome: ReadState | "ended" | "cut" | "refused";
}

export const atOnce: Delivery = { reads: [1 << 20], buffers: [1 << 20], lateReads: 0 };

/** Plays a socket: reads into the target that it was given last, and gets a new one only after a read. */
export function receive(bytes: Buffer, delivery: Delivery, method: "GET" | "HEAD" = "GET"): Result {
  const reader = new ResponseReader();
  const handler = new Sink(delivery.buffers);
  let target = reader.target();
  let at = 0;
  let turn = 0;
  const read = (): number => {
    const wanted = delivery.reads[turn++ % delivery.reads.length] ?? 1;
    const size = Math.min(wanted, target.length, bytes.length - at);
    target.set(bytes.subarray(at, at + size));
    at += size;
    return size;
  };
  const result = (outcome: Result["outcome"]): Result => ({ head: handler.headSeen, body: handler.body, outcome });
  reader.begin(method, handler, { resume: () => {} });
  try {
    let state: ReadState = "more";
    while (state === "more" || state === "paused") {
      if (state === "paused") {
        for (let i = 0; i < delivery.lateReads && at < bytes.length; i++) {
          reader.held(read());
          target = reader.target();
        }
        state = reader.resume();
      } else if (at === bytes.length) {
        return result(reader.ended() ? "ended" : "cut");
      } else {
        state = reader.received(read());
        target = reader.target();
      }
    }
    return result(state);
  } catch (error) {
    if (error instanceof HeadError) return result("refused");
    throw error;
  }
}

export class Sink implements ResponseHandler {
  readonly #buffers: readonly number[];
  readonly #chunks: Buffer[] = [];
  #turn = 0;
  #memory: Buffer | undefined;
  headSeen: ResponseHead | undefined;

  constructor(buffers: readonly number[]) {
    this.#buffers = buffers;
  }

  head(head: ResponseHead): void {
    expect(this.headSeen).toBe(undefined);
    this.headSeen = head;
  }

  buffer(): Uint8Array | undefined {
    const size = this.#buffers[this.#turn++ % this.#buffers.length] ?? 1;
    this.#memory = size === 0 ? undefined : Buffer.alloc(size);
    return this.#memory;
  }

  filled(bytes: number): void {
    if (this.#memory === undefined || bytes < 1 || bytes > this.#memory.length) throw new Error(`filled(${bytes})`);
    this.#chunks.push(this.#memory.subarray(0, bytes));
    this.#memory = undefined;
  }

  get body(): string {
    return Buffer.concat(this.#chunks).toString("latin1");
  }
}

/** Portions of these sizes, with pauses of the handler and bytes that still come after them. */
export function deliveries(size: fc.Arbitrary<number>): fc.Arbitrary<Delivery> {
  return fc.record({
    reads: fc.array(size, { minLength: 1, maxLength: 20 }),
    // 0 is no memory, for a moment.
    buffers: fc.array(fc.oneof(fc.constant(0), size), { maxLength: 20 }).map((sizes) => [...sizes, 1000]),
    lateReads: fc.integer({ min: 0, max: 5 }),
  });
}
