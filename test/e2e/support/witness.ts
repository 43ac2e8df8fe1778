const stepMs = 20;

/** Notices when this machine is too busy to run what is ready: how late, at worst, a timer of 20 ms was. */
export class Witness implements Disposable {
  #expectedMs = performance.now() + stepMs;
  #worstMs = 0;
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      this.#worstMs = Math.max(this.#worstMs, nowMs - this.#expectedMs);
      this.#expectedMs = nowMs + stepMs;
    }, stepMs);
  }

  get worstLatenessMs(): number {
    return this.#worstMs;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
