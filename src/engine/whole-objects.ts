import type { DataPlane, Verification, WholeRequest } from "../types.ts";
import type { CopiedObject } from "./copy-object.ts";
import type { CopyTask } from "./plan.ts";
import type { Attempt, RequestKind, Requests } from "./requests.ts";

export interface WholeParts {
  readonly plane: DataPlane;
  readonly requests: Requests;
  readonly rangeBytes: number;
}

/** Objects that cross to the data plane together at most: enough to make the crossing cheap, few enough to spread. */
const mostTogether = 32;

interface Pending<T> {
  readonly work: T;
  readonly request: WholeRequest;
  readonly attempt: Attempt;
}

/** Whether an object is fetched with one request and verified before it is written. */
export function isWhole({ sizeBytes }: { readonly sizeBytes: number }, { plane, rangeBytes }: WholeParts): boolean {
  return sizeBytes <= Math.min(plane.wholeBytes, rangeBytes);
}

/** The one request of a whole object. */
export function wholeKind({ entry }: Pick<CopyTask, "entry">, plane: DataPlane): RequestKind {
  const { key, sizeBytes } = entry;
  return { operation: "get", what: key, bodyBytes: sizeBytes, bufferBytes: plane.bufferCost(sizeBytes) };
}

/** One attempt at one object. */
export function copyOne(plane: DataPlane, request: WholeRequest, signal: AbortSignal): Promise<Verification> {
  return new Promise((resolve, reject) => {
    plane.copyWholes([request], signal, { copied: (_, proof) => resolve(proof), failed: (_, error) => reject(error) });
  });
}

/**
 * Makes the first attempt of whole objects, many in one call of the data plane: a promise chain for each object would cost
 * more than its request. What fails goes back to the caller, to be tried again by itself.
 */
export class WholeObjects<T extends { readonly task: CopyTask }> {
  readonly #parts: WholeParts;
  readonly #signal: AbortSignal;
  readonly #copied: (work: T, copied: CopiedObject) => void;
  readonly #failed: (work: T, error: unknown) => void;
  #batch: Pending<T>[] = [];

  /** `copied` and `failed` are told of each object once, in any order. */
  constructor(
    parts: WholeParts,
    ends: { copied: (work: T, copied: CopiedObject) => void; failed: (work: T, error: unknown) => void },
    signal: AbortSignal,
  ) {
    this.#parts = parts;
    this.#copied = ends.copied;
    this.#failed = ends.failed;
    this.#signal = signal;
  }

  /** Resolves when the object has its place among the open requests. Rejects with the signal's reason. */
  async add(work: T): Promise<void> {
    const { requests, plane } = this.#parts;
    const kind = wholeKind(work.task, plane);
    let attempt = requests.tryBegin(kind);
    if (!attempt) {
      this.flush(); // what is waited for may be among these
      attempt = await requests.begin(work.task.entry, kind, this.#signal);
    }
    const { entry, target } = work.task;
    this.#batch.push({ work, attempt, request: { key: entry.key, etag: entry.etag, target } });
    if (this.#batch.length >= mostTogether) this.flush();
  }

  /** Sends what has been added. */
  flush(): void {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    const requests = batch.map(({ request }) => request);
    this.#parts.plane.copyWholes(requests, this.#signal, {
      copied: (index, verification) => this.#succeed(batch[index], verification),
      failed: (index, error) => this.#fail(batch[index], error),
    });
  }

  #succeed(pending: Pending<T> | undefined, verification: Verification): void {
    if (!pending) throw new RangeError("an object ended that nobody asked for");
    pending.attempt.succeeded();
    this.#copied(pending.work, { target: pending.request.target, verification });
  }

  #fail(pending: Pending<T> | undefined, error: unknown): void {
    if (!pending) throw new RangeError("an object failed that nobody asked for");
    pending.attempt.failed(error, this.#signal);
    this.#failed(pending.work, error);
  }
}
