import { Worker } from "node:worker_threads";
import type { SigningState } from "../oss/signing.ts";
import type { PlaneStats, WholeRequest, WholeWatcher } from "../types.ts";
import type { PlaneSetup } from "./build-plane.ts";
import {
  type Call,
  type FromThread,
  type PlainError,
  packWholes,
  type RemoteArguments,
  type RemoteMethod,
  type RemoteResult,
  restoreError,
  type ToThread,
  verifications,
} from "./thread-protocol.ts";

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly watched: WatchedSignal | undefined;
}

/** Whole objects that were sent together; the id of the first tells the place of each. */
interface Batch {
  readonly firstId: number;
  readonly watcher: WholeWatcher;
  readonly watched: WatchedSignal;
}

/** A signal with one listener, however many calls depend on it. */
interface WatchedSignal {
  readonly number: number;
  readonly signal: AbortSignal;
  readonly listener: () => void;
  calls: number;
}

const idle: PlaneStats = { receivedBytes: 0, writtenBytes: 0, sourceSeconds: 0, diskSeconds: 0, bufferBytes: 0 };
/** Young objects here die within a request; a small nursery keeps the thread's memory small. */
const nurseryMiB = 16;

/**
 * The main thread's handle of one data thread, which comes up by itself and waits for `open`. A thread that dies rejects
 * every call, then and later, with its error.
 */
export class DataThread implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #wholes = new Map<number, Batch>();
  readonly #ended: Promise<void>;
  readonly #watched = new Map<AbortSignal, WatchedSignal>();
  #calls: Call[] = [];
  #flushing = false;
  #nextId = 0;
  #nextSignal = 0;
  #death: Error | undefined;
  #opened = false;
  #closing = false;
  stats: PlaneStats = idle;

  constructor() {
    // Beside this module, as source (.ts) and in the bundle (.js).
    const entry = new URL(`./thread${import.meta.url.slice(-3)}`, import.meta.url);
    this.#worker = new Worker(entry, { resourceLimits: { maxYoungGenerationSizeMb: nurseryMiB } });
    this.#worker.on("message", (message: FromThread) => this.#received(message));
    this.#worker.on("error", (error) => this.#died(error instanceof Error ? error : new Error(String(error))));
    this.#ended = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        if (!this.#closing) this.#died(new Error(`a data thread ended by itself with code ${code}`));
        resolve();
      });
    });
  }

  /** Gives the thread its plane, once, before any call. */
  open(setup: PlaneSetup, signing: SigningState): void {
    this.#opened = true;
    this.#post({ kind: "open", setup, signing });
  }

  /** Calls that have not been answered. */
  get load(): number {
    return this.#pending.size + this.#wholes.size;
  }

  /** As the port's method. */
  copyWholes(requests: readonly WholeRequest[], signal: AbortSignal, watcher: WholeWatcher): void {
    const refusal = this.#death ?? (signal.aborted ? { reason: signal.reason } : undefined);
    if (refusal) {
      const error = refusal instanceof Error ? refusal : refusal.reason;
      for (const index of requests.keys()) queueMicrotask(() => watcher.failed(index, error));
      return;
    }
    const watched = this.#watch(signal, requests.length);
    const batch: Batch = { firstId: this.#nextId, watcher, watched };
    this.#nextId += requests.length;
    for (const index of requests.keys()) this.#wholes.set(batch.firstId + index, batch);
    this.#post(packWholes(requests, batch.firstId, watched.number));
  }

  /** Calls a method of the thread's plane; rejects with its error, or with the signal's reason once the thread has stopped. */
  call<M extends RemoteMethod>(method: M, args: RemoteArguments<M>, signal?: AbortSignal): Promise<RemoteResult<M>> {
    if (this.#death) return Promise.reject(this.#death);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const id = this.#nextId++;
    const watched = signal && this.#watch(signal);
    this.#calls.push({ id, method, args, signal: watched?.number });
    this.#flushLater();
    return new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, watched });
    }) as Promise<RemoteResult<M>>; // the protocol's types pair method and result
  }

  /** Tells the thread what to sign with from now on. */
  sign(state: SigningState): void {
    this.#post({ kind: "signing", state: { ...state } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closing) this.#close();
    await this.#ended;
  }

  #close(): void {
    this.#closing = true;
    if (this.#opened) this.#post({ kind: "close" });
    else void this.#worker.terminate(); // nothing is under way, and it may still be coming up
  }

  #watch(signal: AbortSignal, calls = 1): WatchedSignal {
    const known = this.#watched.get(signal);
    if (known) {
      known.calls += calls;
      return known;
    }
    const number = this.#nextSignal++;
    const listener = (): void => {
      this.#flush(); // the calls that it ends go first
      this.#post({ kind: "abort", signal: number });
    };
    signal.addEventListener("abort", listener, { once: true });
    const watched = { number, signal, listener, calls };
    this.#watched.set(signal, watched);
    return watched;
  }

  #unwatch(watched: WatchedSignal): void {
    if (--watched.calls > 0) return;
    watched.signal.removeEventListener("abort", watched.listener);
    this.#watched.delete(watched.signal);
  }

  /** All calls of one turn of the loop travel together. */
  #flushLater(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#calls.length === 0) return;
    this.#post({ kind: "calls", calls: this.#calls });
    this.#calls = [];
  }

  #post(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  #received({ replies, copied, stats, death }: FromThread): void {
    if (stats) this.stats = stats;
    if (death) this.#died(restoreError(death));
    for (let i = 0; i < copied.length; i += 2) {
      const id = copied[i] ?? 0;
      const batch = this.#endWhole(id);
      batch?.watcher.copied(id - batch.firstId, verifications[copied[i + 1] ?? 0] ?? "lengthOnly");
    }
    for (const reply of replies) {
      if ("error" in reply) {
        const batch = this.#endWhole(reply.id);
        batch?.watcher.failed(reply.id - batch.firstId, errorOf(reply.error, batch.watched));
      }
      const pending = this.#pending.get(reply.id);
      if (!pending) continue;
      this.#pending.delete(reply.id);
      const { watched } = pending;
      if (watched) this.#unwatch(watched);
      if ("value" in reply) pending.resolve(reply.value);
      else pending.reject(errorOf(reply.error, watched));
    }
  }

  #endWhole(id: number): Batch | undefined {
    const batch = this.#wholes.get(id);
    if (!batch) return undefined;
    this.#wholes.delete(id);
    this.#unwatch(batch.watched);
    return batch;
  }

  #died(error: Error): void {
    this.#death ??= error;
    for (const { reject, watched } of this.#pending.values()) {
      if (watched) this.#unwatch(watched);
      reject(this.#death);
    }
    this.#pending.clear();
    for (const id of [...this.#wholes.keys()]) {
      const batch = this.#endWhole(id);
      batch?.watcher.failed(id - batch.firstId, this.#death);
    }
  }
}

/** What a call ended with: after an abort its signal's own reason. */
function errorOf(error: PlainError, watched: WatchedSignal | undefined): unknown {
  return watched?.signal.aborted ? watched.signal.reason : restoreError(error);
}
