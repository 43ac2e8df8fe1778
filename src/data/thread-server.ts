import type { MessagePort } from "node:worker_threads";
import type { SigningState } from "../oss/signing.ts";
import type { LocalPlane } from "./local-plane.ts";
import { type Call, type FromThread, flattenError, type Reply, type ToThread } from "./thread-protocol.ts";

/** How often counters are told. */
const statsMs = 100;
/** Replies that are worth a message of their own; fewer wait for the next turn of the loop, while calls are running. */
const fewReplies = 8;

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
      if (this.#running > 0) this.#send();
    }, statsMs);
  }

  #received(message: ToThread): void {
    switch (message.kind) {
      case "calls":
        for (const call of message.calls) void this.#run(call);
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
    }
  }

  async #run(call: Call): Promise<void> {
    this.#running++;
    const reply = await this.#replyTo(call);
    this.#running--;
    this.#replies.push(reply);
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => this.#flush());
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
      if (remote && --remote.calls === 0) this.#signals.delete(signal ?? 0);
    }
  }

  #retain(signal: number): RemoteSignal {
    const known = this.#signals.get(signal);
    const remote = known ?? { abort: new AbortController(), calls: 0 };
    if (!known) this.#signals.set(signal, remote);
    remote.calls++;
    return remote;
  }

  #flush(): void {
    if (this.#replies.length >= fewReplies || this.#running === 0) this.#send({ stats: this.#running === 0 });
    else setImmediate(() => this.#send({ stats: this.#running === 0 })); // asked then: the last reply may have joined
  }

  #send({ stats } = { stats: true }): void {
    const message: FromThread = { replies: this.#replies, stats: stats ? this.#plane.stats() : undefined };
    this.#replies = [];
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
