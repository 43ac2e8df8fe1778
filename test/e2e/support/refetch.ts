import { readdir } from "node:fs/promises";
import type { Emulator } from "../../emulator/server.ts";
import { checkpointIn, keptBytes, settledOf, stateName } from "./checkpoint.ts";
import { until } from "./waiting.ts";

/** What a killed run received in vain, and the most that it may have. */
export interface Loss {
  readonly lostBytes: number;
  readonly allowedBytes: number;
}

/**
 * Counts what runs on one target are sent, and what of it is kept. A killed run may lose what ended after its last
 * checkpoint was taken, and what was in flight then: answers that are on their way through the program are known to the
 * kernel and the emulator, and not yet to the checkpoint, and there are never more of them than requests may be open.
 */
export class RefetchBook {
  readonly #emulator: Emulator;
  readonly #target: string;
  readonly #concurrency: number;
  #sentBytes: number;
  #keptBytes = 0;
  #settled = 0;
  #seen: number;

  constructor(emulator: Emulator, target: string, concurrency: number) {
    this.#emulator = emulator;
    this.#target = target;
    this.#concurrency = concurrency;
    this.#sentBytes = emulator.counters.objectBytesSent;
    this.#seen = emulator.requests.length;
  }

  /** Objects that the last killed run's checkpoint has settled. */
  get settled(): number {
    return this.#settled;
  }

  /** Bytes that the next run need not fetch. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** To be called after a kill. Throws Error when progress that was kept is gone. */
  async killed(): Promise<Loss> {
    await this.silence();
    if (await isOver(this.#target)) return this.#accounted(0, 0);
    const checkpoint = await checkpointIn(this.#target);
    const [kept, settled] = [keptBytes(checkpoint), settledOf(checkpoint)];
    if (settled < this.#settled || kept < this.#keptBytes) {
      throw new Error(`the checkpoint went back from ${this.#keptBytes} to ${kept} bytes`);
    }
    const lostBytes = this.sentBytes - (kept - this.#keptBytes);
    this.#keptBytes = kept;
    this.#settled = settled;
    return this.#accounted(lostBytes, this.#allowedBytes(checkpoint?.savedAtMs ?? 0));
  }

  /** Bytes that were sent since the last kill. */
  get sentBytes(): number {
    return this.#emulator.counters.objectBytesSent - this.#sentBytes;
  }

  /** Resolves when no connection is left: what a killed run had asked for is counted to it, however late it was sent. */
  async silence(): Promise<void> {
    await until("silence", () => this.#emulator.counters.openConnections === 0);
  }

  #accounted(lostBytes: number, allowedBytes: number): Loss {
    this.#sentBytes = this.#emulator.counters.objectBytesSent;
    this.#seen = this.#emulator.requests.length;
    return { lostBytes, allowedBytes };
  }

  #allowedBytes(savedAtMs: number): number {
    const gets = this.#emulator.requests.slice(this.#seen).filter(({ operation }) => operation === "get");
    const endOf = ({ finishedAtMs = Number.POSITIVE_INFINITY }: { finishedAtMs: number | undefined }) => finishedAtMs;
    const before = gets.filter((get) => endOf(get) < savedAtMs).toSorted((a, b) => endOf(b) - endOf(a));
    const after = gets.filter((get) => endOf(get) >= savedAtMs);
    // Those among `after` that were under way cannot be subtracted: a busy emulator notes late what the program has long had.
    const unknown = before.slice(0, this.#concurrency);
    return [...after, ...unknown].reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  }
}

/** Whether a run was killed that had all in place and only its state to remove. */
async function isOver(target: string): Promise<boolean> {
  const names = await readdir(`${target}/${stateName}`).catch((): string[] => []);
  return !names.includes("owner.json") && (await readdir(target)).some((name) => !name.startsWith(stateName));
}
