import type { Flow } from "../../src/oss/http/transport.ts";
import type { BodySink } from "../../src/oss/object-reader.ts";
import type { ObjectHead } from "../../src/types.ts";

/** Keeps what it gets, in small pieces; it pauses before every second one. */
export class MemorySink implements BodySink {
  head: ObjectHead | undefined;
  text = "";
  readonly #memory = Buffer.alloc(4);
  #flow: Flow | undefined;
  #paused = false;

  accept(head: ObjectHead, flow: Flow): void {
    this.head = head;
    this.#flow = flow;
  }

  buffer(): Uint8Array | undefined {
    this.#paused = !this.#paused;
    if (!this.#paused) return this.#memory;
    setImmediate(() => this.#flow?.resume());
    return undefined;
  }

  filled(bytes: number): void {
    this.text += this.#memory.toString("latin1", 0, bytes);
  }
}
