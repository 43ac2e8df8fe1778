/** Whose turn it is: waiting requests are served round-robin over owners, so that one object never takes every slot. */
export type Owner = object;

interface Waiter {
  readonly bytes: number;
  readonly admit: () => void;
}

/**
 * Bounds the requests that are open: their number adapts to what the service bears, their buffers stay below a fixed
 * number of bytes and are reserved before a request is sent. Additive increase, multiplicative decrease.
 */
export class Admission {
  readonly #mostRequests: number;
  readonly #mostBytes: number;
  readonly #queues = new Map<Owner, Waiter[]>();
  #limit: number;
  #requests = 0;
  #bytes = 0;
  #admitted = 0;
  #firstAfterCut = 0;

  constructor(mostRequests: number, mostBytes: number) {
    this.#mostRequests = mostRequests;
    this.#mostBytes = mostBytes;
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

  /** A place, if there is one now and nobody waits. */
  tryAcquire(bytes: number): Permit | undefined {
    if (this.#queues.size > 0 || !this.#fits(bytes)) return undefined;
    this.#take(bytes);
    return this.#permit(bytes);
  }

  /** Waits for a place. Rejects with the signal's reason, and with RangeError if `bytes` can never fit. */
  async acquire(owner: Owner, bytes: number, signal: AbortSignal): Promise<Permit> {
    if (bytes > this.#mostBytes) {
      throw new RangeError(`a request with ${bytes} buffer bytes does not fit into ${this.#mostBytes}`);
    }
    signal.throwIfAborted();
    if (this.#queues.size > 0 || !this.#fits(bytes)) await this.#turn(owner, bytes, signal);
    else this.#take(bytes);
    return this.#permit(bytes);
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

  #permit(bytes: number): Permit {
    return new Permit(this.#admitted++, () => this.#release(bytes));
  }

  #fits(bytes: number): boolean {
    return this.#requests < this.limit && this.#bytes + bytes <= this.#mostBytes;
  }

  #take(bytes: number): void {
    this.#requests++;
    this.#bytes += bytes;
  }

  #release(bytes: number): void {
    this.#requests--;
    this.#bytes -= bytes;
    this.#serve();
  }

  #turn(owner: Owner, bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#forget(owner, waiter);
        reject(signal.reason);
        this.#serve(); // those behind may need less
      };
      const waiter: Waiter = {
        bytes,
        admit: () => {
          signal.removeEventListener("abort", leave);
          this.#take(bytes);
          resolve();
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      const queue = this.#queues.get(owner);
      if (queue) queue.push(waiter);
      else this.#queues.set(owner, [waiter]);
    });
  }

  #forget(owner: Owner, waiter: Waiter): void {
    const queue = this.#queues.get(owner);
    if (!queue) return;
    const rest = queue.filter((other) => other !== waiter);
    if (rest.length > 0) this.#queues.set(owner, rest);
    else this.#queues.delete(owner);
  }

  /** A Map iterates in insertion order: taking the first owner and putting it back last is the round robin. */
  #serve(): void {
    for (;;) {
      const next = this.#queues.entries().next();
      if (next.done) return;
      const [owner, queue] = next.value;
      const waiter = queue[0];
      if (waiter === undefined || !this.#fits(waiter.bytes)) return;
      queue.shift();
      this.#queues.delete(owner);
      if (queue.length > 0) this.#queues.set(owner, queue);
      waiter.admit();
    }
  }
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
