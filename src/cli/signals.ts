import { Interruption } from "../errors.ts";

const names = ["SIGINT", "SIGTERM"] as const;
const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
/** A run that does not end by itself after a signal is ended; well below a pod's grace of 30 s. */
const patienceMs = 10_000;
/** What is still open when the run is over has that long to end by itself. */
const lingerMs = 1_000;
/**
 * Whoever signals a process and its group, as timeout(1) does, or passes on what a terminal sent to the whole group, sends
 * the same signal twice at once: that is one, and must not cost the checkpoint and the report.
 */
const echoMs = 100;

/**
 * The first SIGINT or SIGTERM aborts `signal`, the second ends the process at once with the same code. Handlers are there
 * from the first moment: as process 1 of a container, Linux ignores a signal that has none.
 */
export class Signals {
  readonly #process: NodeJS.Process;
  readonly #abort = new AbortController();
  readonly #ended = new AbortController();
  #begun = false;
  #verdict: number | undefined;
  #first: keyof typeof exitCodes | undefined;
  #firstMs = 0;

  constructor(process: NodeJS.Process) {
    this.#process = process;
    for (const name of names) process.on(name, () => this.#received(name));
  }

  /** Aborted with an `Interruption`. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Aborted by any signal, also one that comes after the verdict. */
  get hurry(): AbortSignal {
    return this.#ended.signal;
  }

  /** From now on there is work under way, which a signal lets end; before, while options are read, nothing is. */
  begin(): void {
    this.#begun = true;
  }

  /** From now on a signal does not change the exit code, only the time until then. */
  settle(exitCode: number): void {
    this.#verdict = exitCode;
  }

  /** All is said: what a library keeps open, such as a socket whose answer drips, does not keep the process. */
  over(exitCode: number): void {
    setTimeout(() => this.#process.exit(exitCode), lingerMs).unref();
  }

  #received(name: keyof typeof exitCodes): void {
    const nowMs = performance.now();
    if (name === this.#first && nowMs - this.#firstMs < echoMs) return;
    const idle = !this.#begun && this.#verdict === undefined;
    if (this.#first !== undefined || idle) this.#process.exit(this.#verdict ?? exitCodes[this.#first ?? name]);
    this.#first = name;
    this.#firstMs = nowMs;
    this.#abort.abort(new Interruption(name));
    this.#ended.abort();
    if (this.#verdict === undefined) {
      setTimeout(() => this.#process.exit(this.#verdict ?? exitCodes[name]), patienceMs).unref();
    }
  }
}
