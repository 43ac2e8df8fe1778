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
interface Lane extends BufferPool {
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
  readonly #lanes: readonly Lane[];
  #limit: number;
  #requests = 0;
  #admitted = 0;
  #firstAfterCut = 0;
  #nextLane = 0;

  /** `pools` in ascending order of `largestBytes`. */
  constructor(mostRequests: number, pools: readonly BufferPool[]) {
    this.#mostRequests = mostRequests;
    this.#lanes = pools.map((pool) => ({ ...pool, queues: new Map(), usedBytes: 0 }));
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
    const lane = this.#laneFor(bytes);
    if (lane.queues.size > 0 || !this.#fits(lane, bytes)) return undefined;
    this.#take(lane, bytes);
    return this.#permit(lane, bytes);
  }

  /** Waits for a place. Rejects with the signal's reason, and with RangeError if `bytes` can never fit. */
  async acquire(owner: Owner, bytes: number, signal: AbortSignal): Promise<Permit> {
    const lane = this.#laneFor(bytes);
    signal.throwIfAborted();
    if (lane.queues.size > 0 || !this.#fits(lane, bytes)) await this.#turn(lane, owner, bytes, signal);
    else this.#take(lane, bytes);
    return this.#permit(lane, bytes);
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

  #laneFor(bytes: number): Lane {
    const lane = this.#lanes.find((candidate) => bytes <= candidate.largestBytes && bytes <= candidate.bytes);
    if (!lane) throw new RangeError(`a request with ${bytes} buffer bytes does not fit into any pool`);
    return lane;
  }

  #permit(lane: Lane, bytes: number): Permit {
    return new Permit(this.#admitted++, () => {
      this.#requests--;
      lane.usedBytes -= bytes;
      this.#serve();
    });
  }

  #fits(lane: Lane, bytes: number): boolean {
    return this.#requests < this.limit && lane.usedBytes + bytes <= lane.bytes;
  }

  #take(lane: Lane, bytes: number): void {
    this.#requests++;
    lane.usedBytes += bytes;
  }

  #turn(lane: Lane, owner: Owner, bytes: number, signal: AbortSignal): Promise<void> {
    const { queues } = lane;
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
          this.#take(lane, bytes);
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
    for (let passed = 0; passed < this.#lanes.length; passed++) {
      const lane = this.#lanes[this.#nextLane];
      this.#nextLane = (this.#nextLane + 1) % this.#lanes.length;
      if (lane && this.#serveOne(lane)) passed = -1;
    }
  }

  /** A Map iterates in insertion order: taking the first owner and putting it back last is the round robin. */
  #serveOne(lane: Lane): boolean {
    const { queues } = lane;
    const next = queues.entries().next();
    if (next.done) return false;
    const [owner, queue] = next.value;
    const waiter = queue[0];
    if (waiter === undefined || !this.#fits(lane, waiter.bytes)) return false;
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
