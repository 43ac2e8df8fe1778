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
  readonly signal: AbortSignal | undefined;
  readonly abort: () => void;
}

const idle: PlaneStats = { receivedBytes: 0, writtenBytes: 0, sourceSeconds: 0, diskSeconds: 0, bufferBytes: 0 };
/** Young objects here die within a request; a small nursery keeps the thread's memory small. */
const nurseryMiB = 8;

/** The main thread's handle of one data thread. A thread that dies rejects every call, then and later, with its error. */
export class DataThread implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #ended: Promise<void>;
  #calls: Call[] = [];
  #aborts: number[] = [];
  #flushing = false;
  #nextId = 0;
  #death: Error | undefined;
  #closing = false;
  stats: PlaneStats = idle;

  constructor(setup: PlaneSetup, signing: SigningState) {
    const workerData: ThreadData = { setup, signing };
    // Sources run as .ts, the build as .js.
    const entry = new URL(import.meta.url.replace(/data-thread(\.[jt]s)$/, "thread$1"));
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
    this.#calls.push({ id, method, args });
    this.#flushLater();
    return new Promise<unknown>((resolve, reject) => {
      const abort = (): void => {
        this.#aborts.push(id);
        this.#flushLater();
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#pending.set(id, { resolve, reject, signal, abort });
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

  /** All calls of one turn of the loop travel together. */
  #flushLater(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#post({ kind: "calls", calls: this.#calls, aborts: this.#aborts });
      this.#calls = [];
      this.#aborts = [];
    });
  }

  #post(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  #received({ replies, stats }: FromThread): void {
    this.stats = stats;
    for (const reply of replies) {
      const pending = this.#pending.get(reply.id);
      if (!pending) continue;
      this.#pending.delete(reply.id);
      pending.signal?.removeEventListener("abort", pending.abort);
      if ("value" in reply) pending.resolve(reply.value);
      else pending.reject(pending.signal?.aborted ? pending.signal.reason : restoreError(reply.error));
    }
  }

  #died(error: Error): void {
    this.#death ??= error;
    for (const { reject, signal, abort } of this.#pending.values()) {
      signal?.removeEventListener("abort", abort);
      reject(this.#death);
    }
    this.#pending.clear();
  }
}
