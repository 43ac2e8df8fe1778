import { combineCrc64, crc64 } from "../../src/checksum/crc64.ts";
import { Admission } from "../../src/engine/admission.ts";
import { type CheckpointState, whyNotResume } from "../../src/engine/checkpoint.ts";
import type { Extent } from "../../src/engine/checkpoint-extents.ts";
import { parseCheckpoint } from "../../src/engine/checkpoint-format.ts";
import { Checkpointer } from "../../src/engine/checkpointer.ts";
import { copyAll } from "../../src/engine/copy-run.ts";
import { compareKeys } from "../../src/engine/key-order.ts";
import { Ledger } from "../../src/engine/ledger.ts";
import type { Pages } from "../../src/engine/listing.ts";
import { Requests } from "../../src/engine/requests.ts";
import { SpaceBudget } from "../../src/engine/space-budget.ts";
import { TooManyFailures } from "../../src/engine/too-many-failures.ts";
import { CopyError } from "../../src/errors.ts";
import type { ObjectEntry } from "../../src/types.ts";
import { onePool } from "../support/buffer-pools.ts";
import { FakeClock, turn } from "../support/fake-clock.ts";
import { type FaultSchedule, MemoryBucket, type Store } from "../support/memory-bucket.ts";
import { MemorySource } from "../support/memory-source.ts";
import { RecordingMetrics, silentLogger } from "../support/observers.ts";
import { simpleRules } from "../support/sources.ts";
import { CrashingDisk } from "./crashing-disk.ts";
import { blockBytes, blocksOf, DiskPlane } from "./disk-plane.ts";

const fingerprint = "work";
const resumeWithinMs = 1;

/** What outlives a process: the source with all versions that it ever had, the disk, and the checkpoint on it. */
export class Survivors {
  readonly store: Store = { objects: new Map(), versions: 0 };
  readonly disk = new CrashingDisk();
  checkpoint: string | undefined;
  /** How listings come; `late`: the first key comes last. */
  order: "ascending" | "reversed" | "late" = "ascending";
  readonly #versions = new Map<string, Set<string>>();
  #remembered = 0;

  /** The checkpoint as a new process reads it; undefined when there is none to go on from. */
  loaded(): CheckpointState | undefined {
    if (this.checkpoint === undefined) return undefined;
    const loaded = parseCheckpoint(Buffer.from(this.checkpoint));
    if (loaded.status !== "ok") throw new Error(loaded.reason);
    const why = whyNotResume(loaded.state, { fingerprint, nowMs: 1, resumeWithinMs });
    return why === undefined ? loaded.state : undefined;
  }

  /** Whether the file of a key is, block by block, one version that its object ever had. */
  isWhole(key: string): boolean {
    this.remember();
    const file = this.disk.read(key);
    return file !== undefined && this.#versions.get(key)?.has(file.join("\n")) === true;
  }

  /** Takes note of the versions that are there now. */
  remember(): void {
    if (this.#remembered === this.store.versions) return;
    this.#remembered = this.store.versions;
    for (const [key, { bytes }] of this.store.objects) {
      const known = this.#versions.get(key) ?? new Set();
      this.#versions.set(key, known.add(blocksOf(bytes).join("\n")));
    }
  }

  /** CRC-64 of what stands on the disk where an extent is said to be. */
  crcOnDisk(key: string, { start, length }: Extent): bigint {
    const file = this.disk.read(key) ?? [];
    let crc = 0n;
    for (let at = start; at < start + length; at += blockBytes) {
      const bytes = Math.min(blockBytes, start + length - at);
      const block = Buffer.from(file[at / blockBytes] ?? "", "latin1").subarray(0, bytes);
      crc = combineCrc64(crc, crc64(block), block.length);
    }
    return crc;
  }
}

export interface RunPlan {
  readonly random: () => number;
  readonly faults: FaultSchedule;
  readonly unsupported: "fail" | "skip";
  readonly maxFailures: number | undefined;
}

/** One process with the engine as it is: planning, scheduling, requests, retries and checkpoints. */
export class EngineRun {
  readonly ledger = new Ledger(new RecordingMetrics(), silentLogger);
  readonly #survivors: Survivors;
  readonly #plan: RunPlan;
  readonly #clock: FakeClock;
  readonly #bucket: MemoryBucket;
  readonly #checkpointer: Checkpointer;
  readonly #plane: DiskPlane;
  readonly resumed: boolean;
  digest: string | undefined;
  error: unknown;

  constructor(survivors: Survivors, plan: RunPlan) {
    this.#survivors = survivors;
    this.#plan = plan;
    this.#clock = new FakeClock(Math.floor(plan.random() * 2 ** 30));
    this.#bucket = new MemoryBucket(this.#clock, plan.faults, survivors.store);
    this.#plane = new DiskPlane(this.#bucket, survivors.disk, this.#clock);
    const from = this.#makeReady();
    this.resumed = from !== undefined;
    this.#checkpointer = this.#keeper(from);
  }

  /** Whether the volume may be published. */
  get isComplete(): boolean {
    return this.error === undefined && this.ledger.failureKinds.size === 0;
  }

  /** Lets the run go on for so many steps of time; true when it has ended. What it would do after that never happens. */
  async go(steps: number): Promise<boolean> {
    let ended = false;
    this.#work().then(
      () => {
        ended = true;
      },
      (error: unknown) => {
        this.error = error;
        ended = true;
      },
    );
    for (let i = 0; ; i++) {
      // Whoever was woken goes on before the run may be killed.
      await turn();
      this.#survivors.remember();
      if (ended || i >= steps) return ended;
      if (!this.#clock.next()) throw new Error("nobody waits for time to pass, and the run has not ended");
    }
  }

  /** As `run/resume.ts` does it. */
  #makeReady(): CheckpointState | undefined {
    const { disk } = this.#survivors;
    const from = this.#survivors.loaded();
    const open = new Set(from?.open.map(({ entry }) => entry.key));
    const isVouchedFor = (name: string): boolean => {
      return open.has(name) || (from?.frontier !== undefined && compareKeys(name, String(from.frontier)) <= 0);
    };
    if (!from) this.#survivors.checkpoint = undefined;
    for (const name of disk.names()) if (!isVouchedFor(name)) disk.unlink(name);
    if (from) this.ledger.resume(from.counts);
    return from;
  }

  #keeper(from: CheckpointState | undefined): Checkpointer {
    const survivors = this.#survivors;
    const clock = this.#clock;
    const forever = new AbortController().signal;
    const earlier = from ? from.counts.copied.objects + from.counts.skipped.objects : 0;
    return new Checkpointer({
      ports: {
        sync: async () => {
          const ends = survivors.disk.sync();
          await clock.sleep(this.#plan.random() * 4, forever);
          ends();
        },
        save: async (text) => {
          await clock.sleep(this.#plan.random() * 2, forever);
          survivors.checkpoint = text;
          await clock.sleep(this.#plan.random(), forever);
        },
        done: () => {
          const { copied, skipped, failed } = this.ledger.counts;
          const objects = copied.objects + skipped.objects + failed.objects - earlier;
          return { objects, bytes: this.#plane.stats().writtenBytes };
        },
        wallMs: () => 1,
        clock,
      },
      limits: { everyMs: 100, everyBytes: 6 * blockBytes, everyObjects: 5 },
      fingerprint,
      firstStartedAt: new Date(0).toISOString(),
      from,
    });
  }

  async #work(): Promise<void> {
    try {
      await this.#copy();
      if (this.ledger.failureKinds.size > 0) await this.#checkpointer.last();
    } catch (error) {
      const isSafe = error instanceof TooManyFailures || (error instanceof CopyError && error.kind !== "volume");
      if (isSafe) await this.#checkpointer.last();
      throw error;
    }
  }

  async #copy(): Promise<void> {
    const [clock, logger, metrics] = [this.#clock, silentLogger, new RecordingMetrics()];
    const { random, unsupported, maxFailures } = this.#plan;
    const source = new MemorySource(this.#bucket);
    const admission = new Admission(1 + Math.floor(random() * 8), onePool(100));
    const limits = { retries: 3, retryForMs: 600_000 };
    const requests = new Requests({ source, admission, limiter: undefined, limits, clock, metrics, logger });
    const concurrency = 1 + Math.floor(random() * 8);
    const parts = { source, plane: this.#plane, requests, admission, limiter: undefined, clock, logger };
    const { sourceDigest } = await copyAll(
      this.#pages(),
      "",
      {
        ...parts,
        ledger: this.ledger,
        rules: simpleRules,
        space: new SpaceBudget(undefined),
        publisher: undefined,
        checkpointer: this.#checkpointer,
        begin: async () => {},
      },
      {
        select: () => true,
        share: () => true,
        unsupported,
        maxFailures,
        dryRun: false,
        rangeBytes: blockBytes,
        concurrency,
        retries: 3,
        decide: undefined,
        sorted: true,
      },
      new AbortController().signal,
    );
    this.digest = sourceDigest;
  }

  #pages(): Pages {
    const bucket = this.#bucket;
    const { order } = this.#survivors;
    return async function* (_signal, startAfter) {
      const isAfter = ({ key }: ObjectEntry) => startAfter === undefined || compareKeys(key, startAfter) > 0;
      const entries = bucket.entries("").filter(isAfter);
      if (order === "reversed") entries.reverse();
      if (order === "late") entries.push(...entries.splice(0, 1));
      for (let at = 0; at < entries.length; at += 7) yield { entries: entries.slice(at, at + 7), receivedBytes: 0 };
    };
  }
}
