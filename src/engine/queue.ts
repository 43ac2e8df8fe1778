/** First-in first-out between one producer and many consumers; the producer waits while `capacity` items are queued. */
export class BoundedQueue<T> {
  readonly #capacity: number;
  #items: T[] = [];
  #head = 0;
  #closed = false;
  #failure: { readonly error: unknown } | undefined;
  readonly #takers: (() => void)[] = [];
  readonly #watchers: (() => void)[] = [];
  #producer: (() => void) | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Queues an item; undefined if there is room for another, or after `close`, otherwise a promise of that. */
  put(item: T): Promise<void> | undefined {
    this.#items.push(item);
    this.#takers.shift()?.();
    if (this.length < this.#capacity || this.#closed) return undefined;
    wakeAll(this.#watchers);
    return new Promise<void>((resolve) => {
      this.#producer = resolve;
    });
  }

  /** Resolves once the queue is full or closed: the earliest moment at which everything foreseeable is known. */
  async settled(): Promise<void> {
    if (this.length >= this.#capacity || this.#closed) return;
    await new Promise<void>((resolve) => this.#watchers.push(resolve));
  }

  /** The next item as `take` gives it, if it is there; undefined does not mean the end. */
  takeNow(taken?: (item: T) => void): T | undefined {
    if (this.#failure) throw this.#failure.error;
    return this.length > 0 ? this.#shift(taken) : undefined;
  }

  /**
   * The next item, after `taken` saw it in the turn in which it left the queue; undefined after the end. Throws what the
   * producer failed with, before any item left over.
   */
  async take(taken?: (item: T) => void): Promise<T | undefined> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      if (this.length > 0) return this.#shift(taken);
      if (this.#closed) return undefined;
      await new Promise<void>((resolve) => this.#takers.push(resolve));
    }
  }

  /** No more items come; with `failure`, takers throw it. */
  close(failure?: { readonly error: unknown }): void {
    this.#closed = true;
    this.#failure ??= failure;
    wakeAll(this.#takers);
    wakeAll(this.#watchers);
    this.#producer?.();
  }

  #shift(taken: ((item: T) => void) | undefined): T | undefined {
    const item = this.#items[this.#head++];
    if (item !== undefined) taken?.(item);
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    // Half empty before the producer goes on: it then works page by page and not item by item.
    if (this.#producer && this.length * 2 <= this.#capacity) {
      this.#producer();
      this.#producer = undefined;
    }
    return item;
  }
}

function wakeAll(waiting: (() => void)[]): void {
  for (const resolve of waiting.splice(0)) resolve();
}
