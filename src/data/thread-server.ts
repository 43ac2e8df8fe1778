import type { MessagePort } from "node:worker_threads";
import type { SigningState } from "../oss/signing.ts";
import type { LocalPlane } from "./local-plane.ts";
import { type Call, type FromThread, flattenError, type Reply, type ToThread } from "./thread-protocol.ts";

/** How often counters are told while no call ends. */
const statsMs = 250;

/** The data thread's end of the port: runs calls on its plane and sends the replies of one turn of the loop together. */
export class ThreadServer {
  readonly #port: MessagePort;
  readonly #plane: LocalPlane;
  readonly #signing: SigningState;
  readonly #running = new Map<number, AbortController>();
  #replies: Reply[] = [];
  #flushing = false;
  #timer: NodeJS.Timeout | undefined;

  /** `signing` is what `plane` signs with. */
  constructor(port: MessagePort, plane: LocalPlane, signing: SigningState) {
    this.#port = port;
    this.#plane = plane;
    this.#signing = signing;
  }

  start(): void {
    this.#port.on("message", (message: ToThread) => this.#received(message));
    this.#timer = setInterval(() => {
      if (this.#running.size > 0) this.#send();
    }, statsMs);
  }

  #received(message: ToThread): void {
    switch (message.kind) {
      case "calls":
        for (const call of message.calls) void this.#run(call);
        for (const id of message.aborts) this.#running.get(id)?.abort();
        return;
      case "signing":
        Object.assign(this.#signing, message.state);
        return;
      case "close":
        void this.#close();
        return;
    }
  }

  async #run(call: Call): Promise<void> {
    const reply = await this.#replyTo(call);
    this.#replies.push(reply);
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => this.#send());
  }

  async #replyTo({ id, method, args }: Call): Promise<Reply> {
    const abort = new AbortController();
    this.#running.set(id, abort);
    try {
      // The handle on the other side pairs methods and arguments by their types.
      const run = this.#plane[method] as (...args: unknown[]) => Promise<unknown>;
      const value = await run.apply(this.#plane, [...args, abort.signal]);
      return { id, value: Array.isArray(value) ? value.map(plainItem) : value };
    } catch (error) {
      return { id, error: flattenError(error) };
    } finally {
      this.#running.delete(id);
    }
  }

  #send(): void {
    const message: FromThread = { replies: this.#replies, stats: this.#plane.stats() };
    this.#replies = [];
    this.#flushing = false;
    this.#port.postMessage(message);
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    for (const abort of this.#running.values()) abort.abort();
    await this.#plane[Symbol.asyncDispose]();
    this.#send();
    this.#port.close();
  }
}

/** Errors among results lose their class on the way, like those that are thrown. */
function plainItem(item: unknown): unknown {
  return item instanceof Error ? flattenError(item) : item;
}
