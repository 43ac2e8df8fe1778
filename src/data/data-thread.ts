import { Worker } from "node:worker_threads";
import type { SigningState } from "../oss/signing.ts";
import type { PlaneStats } from "../types.ts";
import type { PlaneSetup } from "./build-plane.ts";
import {
  type Call,
  type FromThread,
  type RemoteArguments,
  type RemoteMethod,
  type RemoteResult,
  restoreError,
  type ThreadData,
  type ToThread,
} from "./thread-protocol.ts";

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly watched: WatchedSignal | undefined;
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
const nurseryMiB = 8;

/** The main thread's handle of one data thread. A thread that dies rejects every call, then and later, with its error. */
export class DataThread implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #ended: Promise<void>;
  readonly #watched = new Map<AbortSignal, WatchedSignal>();
  #calls: Call[] = [];
  #flushing = false;
  #nextId = 0;
  #nextSignal = 0;
  #death: Error | undefined;
  #closing = false;
  stats: PlaneStats = idle;

  constructor(setup: PlaneSetup, signing: SigningState) {
    const workerData: ThreadData = { setup, signing };
    // Beside this module, as source (.ts) and in the bundle (.js).
    const entry = new URL(`./thread${import.meta.url.slice(-3)}`, import.meta.url);
    this.#worker = new Worker(entry, { workerData, resourceLimits: { maxYoungGenerationSizeMb: nurseryMiB } });
    this.#worker.on("message", (message: FromThread) => this.#received(message));
    this.#worker.on("error", (error) => this.#died(error instanceof Error ? error : new Error(String(error))));
    this.#ended = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        if (!this.#closing) this.#died(new Error(`a data thread ended by itself with code ${code}`));
        resolve();
      });
    });
  }

  /** Calls that have not been answered. */
  get load(): number {
    return this.#pending.size;
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
    this.#closing = true;
    this.#post({ kind: "close" });
    await this.#ended;
  }

  #watch(signal: AbortSignal): WatchedSignal {
    const known = this.#watched.get(signal);
    if (known) {
      known.calls++;
      return known;
    }
    const number = this.#nextSignal++;
    const listener = (): void => {
      this.#flush(); // the calls that it ends go first
      this.#post({ kind: "abort", signal: number });
    };
    signal.addEventListener("abort", listener, { once: true });
    const watched = { number, signal, listener, calls: 1 };
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

  #received({ replies, stats }: FromThread): void {
    if (stats) this.stats = stats;
    for (const reply of replies) {
      const pending = this.#pending.get(reply.id);
      if (!pending) continue;
      this.#pending.delete(reply.id);
      const { watched } = pending;
      if (watched) this.#unwatch(watched);
      if ("value" in reply) pending.resolve(reply.value);
      else pending.reject(watched?.signal.aborted ? watched.signal.reason : restoreError(reply.error));
    }
  }

  #died(error: Error): void {
    this.#death ??= error;
    for (const { reject, watched } of this.#pending.values()) {
      if (watched) this.#unwatch(watched);
      reject(this.#death);
    }
    this.#pending.clear();
  }
}
