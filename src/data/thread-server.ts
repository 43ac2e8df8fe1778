import type { MessagePort } from "node:worker_threads";
import type { SigningState } from "../oss/signing.ts";
import type { LocalPlane } from "./local-plane.ts";
import {
  type Call,
  type FromThread,
  flattenError,
  type Reply,
  type ToThread,
  unpackWholes,
  verifications,
  type WholesMessage,
} from "./thread-protocol.ts";

/** How often counters are told. */
const statsMs = 100;

/** A signal of the main thread, for as long as calls of this thread depend on it. */
interface RemoteSignal {
  readonly abort: AbortController;
  calls: number;
}

/** The data thread's end of the port: runs calls on its plane and sends the replies of one turn of the loop together. */
export class ThreadServer {
  readonly #port: MessagePort;
  readonly #plane: LocalPlane;
  readonly #signing: SigningState;
  readonly #signals = new Map<number, RemoteSignal>();
  #running = 0;
  #replies: Reply[] = [];
  #copied: number[] = [];
  #flushing = false;
  #timer: NodeJS.Timeout | undefined;

  /** `signing` is what `plane` signs with. */
  constructor(port: MessagePort, plane: LocalPlane, signing: SigningState) {
    this.#port = port;
    this.#plane = plane;
    this.#signing = signing;
  }

  /** Serves what came `early`, and from then on what the port brings. */
  start(early: readonly ToThread[]): void {
    for (const message of early) this.#received(message);
    this.#port.on("message", (message: ToThread) => this.#received(message));
    this.#timer = setInterval(() => {
      if (this.#running > 0) this.#send();
    }, statsMs);
  }

  #received(message: ToThread): void {
    switch (message.kind) {
      case "calls":
        for (const call of message.calls) void this.#run(call);
        return;
      case "wholes":
        this.#copyWholes(message);
        return;
      case "abort":
        this.#signals.get(message.signal)?.abort.abort();
        return;
      case "signing":
        Object.assign(this.#signing, message.state);
        return;
      case "close":
        void this.#close();
        return;
      case "open":
        throw new Error("a data thread has one plane only");
    }
  }

  async #run(call: Call): Promise<void> {
    this.#running++;
    this.#ended(await this.#replyTo(call));
  }

  #copyWholes(message: WholesMessage): void {
    const requests = unpackWholes(message);
    const remote = this.#retain(message.signal, requests.length);
    this.#running += requests.length;
    this.#plane.copyWholes(requests, remote.abort.signal, {
      copied: (index, verification) => {
        this.#release(message.signal, remote);
        this.#copied.push(message.firstId + index, verifications.indexOf(verification));
        this.#ended();
      },
      failed: (index, error) => {
        this.#release(message.signal, remote);
        this.#ended({ id: message.firstId + index, error: flattenError(error) });
      },
    });
  }

  /** Something that was asked for has ended; its reply, if it has one, goes out with others. */
  #ended(reply?: Reply): void {
    this.#running--;
    if (reply) this.#replies.push(reply);
    if (this.#flushing) return;
    // What ends in this turn of the loop goes along. More is not waited for: what has ended keeps its place among the open
    // requests until it is told, and a busy loop has long turns anyway.
    this.#flushing = true;
    setImmediate(() => this.#send({ stats: this.#running === 0 }));
  }

  async #replyTo({ id, method, args, signal }: Call): Promise<Reply> {
    const remote = signal === undefined ? undefined : this.#retain(signal);
    try {
      // The handle on the other side pairs methods and arguments by their types.
      const run = this.#plane[method] as (...args: unknown[]) => Promise<unknown>;
      const value = await run.apply(this.#plane, remote ? [...args, remote.abort.signal] : [...args]);
      return { id, value: Array.isArray(value) ? value.map(plainItem) : value };
    } catch (error) {
      return { id, error: flattenError(error) };
    } finally {
      if (remote) this.#release(signal ?? 0, remote);
    }
  }

  #retain(signal: number, calls = 1): RemoteSignal {
    const known = this.#signals.get(signal);
    const remote = known ?? { abort: new AbortController(), calls: 0 };
    if (!known) this.#signals.set(signal, remote);
    remote.calls += calls;
    return remote;
  }

  #release(signal: number, remote: RemoteSignal): void {
    if (--remote.calls === 0) this.#signals.delete(signal);
  }

  #send({ stats } = { stats: true }): void {
    const message: FromThread = {
      replies: this.#replies,
      copied: this.#copied,
      stats: stats ? this.#plane.stats() : undefined,
    };
    this.#replies = [];
    this.#copied = [];
    this.#flushing = false;
    this.#port.postMessage(message);
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    for (const { abort } of this.#signals.values()) abort.abort();
    await this.#plane[Symbol.asyncDispose]();
    this.#send();
    this.#port.close();
  }
}

/** Errors among results lose their class on the way, like those that are thrown. */
function plainItem(item: unknown): unknown {
  return item instanceof Error ? flattenError(item) : item;
}
