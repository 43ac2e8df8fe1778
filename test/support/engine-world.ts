import { Admission } from "../../src/engine/admission.ts";
import type { CopyOptions, CopyParts } from "../../src/engine/copy-run.ts";
import { copyAll } from "../../src/engine/copy-run.ts";
import { Ledger } from "../../src/engine/ledger.ts";
import { Limiter } from "../../src/engine/limiter.ts";
import type { Pages } from "../../src/engine/listing.ts";
import { type Keeper, Publisher } from "../../src/engine/publisher.ts";
import { Requests } from "../../src/engine/requests.ts";
import { selectSource } from "../../src/engine/select-source.ts";
import { SpaceBudget } from "../../src/engine/space-budget.ts";
import type { Logger } from "../../src/types.ts";
import { onePool } from "./buffer-pools.ts";
import { drive, FakeClock } from "./fake-clock.ts";
import { type FaultSchedule, MemoryBucket } from "./memory-bucket.ts";
import { MemoryPlane, type MemoryPlaneOptions } from "./memory-plane.ts";
import { MemorySource } from "./memory-source.ts";
import { RecordingMetrics, silentLogger } from "./observers.ts";
import { simpleRules } from "./sources.ts";

export interface WorldOptions {
  readonly seed?: number;
  readonly faults?: FaultSchedule;
  readonly pageKeys?: () => number;
  readonly mostRequests?: number;
  readonly mostBytes?: number;
  readonly bytesPerSecond?: number;
  readonly retries?: number;
  readonly retryForMs?: number;
  readonly staged?: boolean;
  readonly heldBytes?: number;
  /** Keeps how far large objects of a staged run are. */
  readonly keeper?: Keeper;
  readonly volumeFault?: MemoryPlaneOptions["volumeFault"];
  readonly logger?: Logger;
}

/** When staged files are published, as in a run without a limit of memory. */
export const publishLimits = { everyMs: 5000, everyBytes: 256 * 2 ** 20, everyObjects: 2000 };

export const never = new AbortController().signal;

/** The engine between a bucket and a volume in memory, on a clock that tests drive. */
export function makeWorld(options: WorldOptions = {}) {
  const {
    mostRequests = 8,
    mostBytes = 512,
    retries = 3,
    retryForMs = 600_000,
    staged = false,
    heldBytes = 0,
  } = options;
  const { logger = silentLogger } = options;
  const clock = new FakeClock(options.seed);
  const bucket = new MemoryBucket(clock, options.faults);
  const source = new MemorySource(bucket, options.pageKeys);
  const volumeFault = options.volumeFault ?? (() => undefined);
  const plane = new MemoryPlane({ bucket, clock, staged, heldBytes, volumeFault });
  const metrics = new RecordingMetrics();
  const ledger = new Ledger(metrics, logger);
  const admission = new Admission(mostRequests, onePool(mostBytes));
  const limiter = options.bytesPerSecond === undefined ? undefined : new Limiter(options.bytesPerSecond, clock);
  const limits = { retries, retryForMs };
  const requests = new Requests({ source, admission, limiter, limits, clock, metrics, logger });
  const sync = async (): Promise<void> => {
    plane.events.push("sync");
    await clock.sleep(1, never);
  };
  const publisher = staged
    ? new Publisher({ plane, sync, clock, limits: publishLimits, keeper: options.keeper })
    : undefined;
  const begin = async (): Promise<void> => {
    plane.events.push("begin");
    await clock.sleep(1, never);
  };
  const parts: CopyParts = {
    source,
    plane,
    requests,
    admission,
    limiter,
    clock,
    logger,
    ledger,
    rules: simpleRules,
    space: new SpaceBudget(undefined),
    publisher,
    begin,
  };
  return { clock, bucket, source, plane, metrics, ledger, admission, limiter, requests, rules: simpleRules, parts };
}

export type World = ReturnType<typeof makeWorld>;

export const copyOptions: CopyOptions = {
  select: () => true,
  share: () => true,
  unsupported: "fail",
  maxFailures: undefined,
  dryRun: false,
  rangeBytes: 32,
  concurrency: 6,
  retries: 3,
  decide: undefined,
  sorted: true,
};

export interface RunChanges {
  readonly options?: Partial<CopyOptions>;
  readonly parts?: Partial<CopyParts>;
  readonly pages?: Pages;
  readonly prefix?: string;
  readonly signal?: AbortSignal;
}

/** Copies everything in the bucket, to the end of the run. */
export function copyWorld(world: World, changes: RunChanges = {}) {
  return drive(world.clock, startCopy(world, changes));
}

/** The same, while the test drives the clock. */
export async function startCopy(world: World, changes: RunChanges = {}) {
  const { signal = never, prefix = "" } = changes;
  const pages = changes.pages ?? (await selectSource(prefix, true, world, signal)).pages;
  const parts = { ...world.parts, ...changes.parts };
  return copyAll(pages, prefix, parts, { ...copyOptions, ...changes.options }, signal);
}

/** What must be true whenever a run has ended, however it did. */
export function leftovers({ bucket, plane, admission, clock }: World) {
  return {
    requests: bucket.open,
    calls: plane.busy,
    openFiles: plane.openFiles,
    permits: admission.open,
    sleepers: clock.sleeping,
    bufferBytes: plane.stats().bufferBytes,
  };
}

export const nothingLeft = { requests: 0, calls: 0, openFiles: 0, permits: 0, sleepers: 0, bufferBytes: 0 };
