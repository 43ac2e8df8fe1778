/** Copies body bytes that arrived in somebody else's memory into the handler's, and keeps what it has no room for. */
import type { ResponseHandler } from "./transport.ts";

export class BodyPump {
  readonly #handler: ResponseHandler;
  /** Chunks not yet handed over, oldest first; bounded by what a connection delivers after it was paused. */
  #waiting: Uint8Array[] = [];

  constructor(handler: ResponseHandler) {
    this.#handler = handler;
  }

  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Hands over as much as the handler takes; the rest of `chunk` is kept as it is, not copied. Throws what the handler throws. */
  push(chunk: Uint8Array): void {
    if (this.#waiting.length > 0) {
      this.#waiting.push(chunk);
      return;
    }
    const rest = deliver(this.#handler, chunk);
    if (rest.length > 0) this.#waiting.push(rest);
  }

  /** Hands over what waits; throws what the handler throws. */
  drain(): void {
    for (let chunk = this.#waiting[0]; chunk !== undefined; chunk = this.#waiting[0]) {
      const rest = deliver(this.#handler, chunk);
      if (rest.length > 0) {
        this.#waiting[0] = rest;
        return;
      }
      this.#waiting.shift();
    }
  }

  clear(): void {
    this.#waiting = [];
  }
}

/** Fills the handler's memory from `chunk` until either ends; what is left is returned, and empty when all was taken. */
export function deliver(handler: ResponseHandler, chunk: Uint8Array): Uint8Array {
  let rest = chunk;
  while (rest.length > 0) {
    const memory = handler.buffer();
    if (memory === undefined) return rest;
    if (memory.length === 0) throw new RangeError("a response handler gave out empty memory");
    const bytes = Math.min(memory.length, rest.length);
    memory.set(bytes === rest.length ? rest : rest.subarray(0, bytes));
    rest = rest.subarray(bytes);
    handler.filled(bytes);
  }
  return rest;
}
