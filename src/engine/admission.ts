/** Whose turn it is: waiting requests are served round-robin over owners, so that one object never takes every slot. */
export type Owner = object;

/** Buffers of one kind, which only requests of their size take. */
export interface BufferPool {
  /** The most that one request takes of it; who needs more takes from the next pool. */
  readonly largestBytes: number;
  readonly bytes: number;
}

interface Waiter {
  readonly bytes: number;
  readonly admit: () => void;
}

/** A pool and who waits for it. */
interface Pool extends BufferPool {
  readonly queues: Map<Owner, Waiter[]>;
  usedBytes: number;
}

/**
 * Bounds the requests that are open: their number adapts to what the service bears, and their buffers, reserved before a
 * request is sent, stay within pools by size, so that small objects need not wait for large ones. Additive increase,
 * multiplicative decrease.
 */
export class Admission {
  readonly #mostRequests: number;
  readonly #pools: readonly Pool[];
  #limit: number;
  #requests = 0;
  #admitted = 0;
  #firstAfterCut = 0;
  #nextPool = 0;

  /** `pools` in ascending order of `largestBytes`. */
  constructor(mostRequests: number, pools: readonly BufferPool[]) {
    this.#mostRequests = mostRequests;
    this.#pools = pools.map((pool) => ({ ...pool, queues: new Map(), usedBytes: 0 }));
    this.#limit = mostRequests;
  }

  /** Requests open now. */
  get open(): number {
    return this.#requests;
  }

  /** Requests that may be open now. */
  get limit(): number {
    return Math.floor(this.#limit);
  }

  /** A place, if there is one now and nobody waits for the like. */
  tryAcquire(bytes: number): Permit | undefined {
    const pool = this.#poolFor(bytes);
    if (pool.queues.size > 0 || !this.#fits(pool, bytes)) return undefined;
    this.#take(pool, bytes);
    return this.#permit(pool, bytes);
  }

  /** Waits for a place. Rejects with the signal's reason, and with RangeError if `bytes` can never fit. */
  async acquire(owner: Owner, bytes: number, signal: AbortSignal): Promise<Permit> {
    const pool = this.#poolFor(bytes);
    signal.throwIfAborted();
    if (pool.queues.size > 0 || !this.#fits(pool, bytes)) await this.#turn(pool, owner, bytes, signal);
    else this.#take(pool, bytes);
    return this.#permit(pool, bytes);
  }

  /** The service accepted a request: one more place per round of successes. */
  succeeded(): void {
    this.#limit = Math.min(this.#mostRequests, this.#limit + 1 / this.#limit);
    this.#serve();
  }

  /** The service throttled a request: half the places, once per round; older requests' answers say nothing new. */
  throttled(permit: Permit): void {
    if (permit.sequence < this.#firstAfterCut) return;
    this.#limit = Math.max(1, this.#limit / 2);
    this.#firstAfterCut = this.#admitted;
  }

  #poolFor(bytes: number): Pool {
    const pool = this.#pools.find((candidate) => bytes <= candidate.largestBytes && bytes <= candidate.bytes);
    if (!pool) throw new RangeError(`a request with ${bytes} buffer bytes does not fit into any pool`);
    return pool;
  }

  #permit(pool: Pool, bytes: number): Permit {
    return new Permit(this.#admitted++, () => {
      this.#requests--;
      pool.usedBytes -= bytes;
      this.#serve();
    });
  }

  #fits(pool: Pool, bytes: number): boolean {
    return this.#requests < this.limit && pool.usedBytes + bytes <= pool.bytes;
  }

  #take(pool: Pool, bytes: number): void {
    this.#requests++;
    pool.usedBytes += bytes;
  }

  #turn(pool: Pool, owner: Owner, bytes: number, signal: AbortSignal): Promise<void> {
    const { queues } = pool;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        forget(queues, owner, waiter);
        reject(signal.reason);
        this.#serve(); // those behind may need less
      };
      const waiter: Waiter = {
        bytes,
        admit: () => {
          signal.removeEventListener("abort", leave);
          this.#take(pool, bytes);
          resolve();
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      const queue = queues.get(owner);
      if (queue) queue.push(waiter);
      else queues.set(owner, [waiter]);
    });
  }

  /** Where requests are scarce, pools take turns at them. */
  #serve(): void {
    for (let passed = 0; passed < this.#pools.length; passed++) {
      const pool = this.#pools[this.#nextPool];
      this.#nextPool = (this.#nextPool + 1) % this.#pools.length;
      if (pool && this.#serveOne(pool)) passed = -1;
    }
  }

  /** A Map iterates in insertion order: taking the first owner and putting it back last is the round robin. */
  #serveOne(pool: Pool): boolean {
    const { queues } = pool;
    const next = queues.entries().next();
    if (next.done) return false;
    const [owner, queue] = next.value;
    const waiter = queue[0];
    if (waiter === undefined || !this.#fits(pool, waiter.bytes)) return false;
    queue.shift();
    queues.delete(owner);
    if (queue.length > 0) queues.set(owner, queue);
    waiter.admit();
    return true;
  }
}

function forget(queues: Map<Owner, Waiter[]>, owner: Owner, waiter: Waiter): void {
  const rest = queues.get(owner)?.filter((other) => other !== waiter) ?? [];
  if (rest.length > 0) queues.set(owner, rest);
  else queues.delete(owner);
}

/** A place among the open requests, given back on disposal. */
export class Permit implements Disposable {
  /** Position in the order of admissions. */
  readonly sequence: number;
  #release: (() => void) | undefined;

  constructor(sequence: number, release: () => void) {
    this.sequence = sequence;
    this.#release = release;
  }

  [Symbol.dispose](): void {
    this.#release?.();
    this.#release = undefined;
  }
}
