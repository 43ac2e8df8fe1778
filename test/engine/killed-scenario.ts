import assert from "node:assert/strict";
import { endOf } from "../../src/engine/checkpoint-extents.ts";
import { compareKeys } from "../../src/engine/key-order.ts";
import type { ErrorKind } from "../../src/errors.ts";
import { FakeClock, seededRandom } from "../support/fake-clock.ts";
import { type Fault, type FaultSchedule, MemoryBucket } from "../support/memory-bucket.ts";
import { blockBytes } from "./disk-plane.ts";
import { EngineRun, Survivors } from "./killed-engine.ts";

const patience = 10;
const passing: readonly ErrorKind[] = ["unreachable", "interrupted", "server", "throttled"];
const lasting: readonly ErrorKind[] = ["rejected", "auth"];

/** What the next run may leave out of sight: objects that came or went where it does not look any more. */
interface Excused {
  readonly missing: Set<string>;
  readonly extra: Set<string>;
}

/** What happened in a scenario, as numbers of runs. */
export interface Seen {
  readonly resumed: number;
  readonly unsorted: number;
  readonly failed: number;
  readonly killed: number;
}

/**
 * Runs the engine again and again on one volume, each run with faults of its own and killed at some moment, until one
 * completes; after each the checkpoint must hold, in the end everything must be there. Throws AssertionError.
 */
export async function runScenario(seed: number): Promise<Seen> {
  const seen = { resumed: 0, unsorted: 0, failed: 0, killed: 0 };
  const random = seededRandom(seed);
  const survivors = makeSurvivors(random);
  const unsupported = random() < 0.5 ? "fail" : "skip";
  const excused: Excused = { missing: new Set(), extra: new Set() };
  if (survivors.order !== "ascending") seen.unsorted++;
  for (let attempt = 0; ; attempt++) {
    const isLast = attempt === patience;
    if (isLast) survivors.store.objects.delete("../outside");
    expectClaimsHold(survivors);
    const faults = isLast ? () => undefined : anyFaults(survivors, random, excused);
    const maxFailures = random() < 0.3 && !isLast ? 1 : undefined;
    const run = new EngineRun(survivors, { random, faults, unsupported, maxFailures });
    if (run.resumed) seen.resumed++;
    const ended = await run.go(isLast ? Number.POSITIVE_INFINITY : Math.floor(random() ** 2 * 700));
    if (!ended) seen.killed++;
    else if (!run.isComplete) seen.failed++;
    if (isLast) assert.deepEqual([run.error, run.ledger.failures], [undefined, []]);
    if (ended && run.isComplete) {
      expectComplete(survivors, run, excused, unsupported);
      return seen;
    }
    if (random() < 0.7) survivors.disk.crash(random);
    if (random() < 0.3) change(survivors, random, excused);
  }
}

function makeSurvivors(random: () => number): Survivors {
  const survivors = new Survivors();
  survivors.order = anyOf(["ascending", "ascending", "ascending", "ascending", "late", "reversed"], random);
  const count = 1 + Math.floor(random() * 40);
  // Even numbers: later there may be others between them.
  for (let i = 0; i < count; i++) put(survivors, `key-${String(2 * i).padStart(3, "0")}`, random);
  if (random() < 0.2) put(survivors, "../outside", random);
  return survivors;
}

function put(survivors: Survivors, key: string, random: () => number): void {
  const blocks = random() < 0.3 ? 1 : Math.floor(random() * 7);
  const sizeBytes = Math.max(0, blocks * blockBytes - (random() < 0.5 ? 0 : 100));
  const bytes = Buffer.alloc(sizeBytes, `${key} ${random()} `);
  new MemoryBucket(new FakeClock(), undefined, survivors.store).put(key, bytes);
  survivors.remember();
}

function anyFaults(survivors: Survivors, random: () => number, { extra }: Excused): FaultSchedule {
  const odds = random() ** 2 * 0.2;
  const flips = random() < 0.3 ? 0.1 : 0;
  return ({ operation, key }): Fault | undefined => {
    if (operation === "get" && random() < flips) return { kind: "flipped" };
    if (random() >= odds) return undefined;
    if (operation === "get" && random() < 0.1) {
      if (survivors.isWhole(key)) extra.add(key);
      survivors.store.objects.delete(key);
      return undefined;
    }
    const chosen = random();
    if (chosen < 0.5) return { kind: anyOf(passing, random) };
    if (chosen < 0.6) return { kind: anyOf(lasting, random) };
    return { kind: anyOf(["truncated", "overwritten", "flipped"] as const, random) };
  };
}

function anyOf<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)] as T; // none of the lists is empty
}

/** The source changes between two runs. */
function change(survivors: Survivors, random: () => number, excused: Excused): void {
  const state = survivors.loaded();
  const open = new Set(state?.open.map(({ entry }) => entry.key));
  const isSettled = (key: string): boolean =>
    state?.frontier !== undefined && compareKeys(key, String(state.frontier)) <= 0 && !open.has(key);
  for (let i = 0; i < 4; i++) {
    const key = `key-${String(Math.floor(random() * 80)).padStart(3, "0")}`;
    if (random() < 0.4) {
      if (survivors.store.objects.delete(key) && isSettled(key)) excused.extra.add(key);
    } else {
      if (!survivors.store.objects.has(key) && isSettled(key)) excused.missing.add(key);
      put(survivors, key, random);
    }
  }
}

/** What the checkpoint says is settled is whole; what it says is there of open objects is there, or their files are short. */
function expectClaimsHold(survivors: Survivors): void {
  const state = survivors.loaded();
  if (state?.frontier === undefined) return;
  const open = new Map(state.open.map(({ entry, extents }) => [entry.key, extents]));
  for (const key of survivors.store.objects.keys()) {
    const extents = open.get(key);
    if (extents) {
      const last = extents.at(-1);
      const length = (survivors.disk.read(key)?.length ?? 0) * blockBytes;
      if (last === undefined || length < endOf(last)) continue;
      for (const extent of extents) assert.equal(survivors.crcOnDisk(key, extent), extent.crc64, key);
    }
  }
  for (const name of survivors.disk.names()) {
    if (compareKeys(name, String(state.frontier)) > 0 || open.has(name)) continue;
    assert(survivors.isWhole(name), `${name} is torn`);
  }
}

function expectComplete(survivors: Survivors, run: EngineRun, { missing, extra }: Excused, unsupported: string): void {
  const names = new Set(survivors.disk.names());
  const refused = unsupported === "skip" ? ["../outside"] : [];
  for (const key of survivors.store.objects.keys()) {
    if (refused.includes(key) || (missing.has(key) && !names.has(key))) continue;
    assert(survivors.isWhole(key), `${key} is missing or torn`);
  }
  for (const name of names) {
    assert(survivors.store.objects.has(name) || extra.has(name), `${name} is not in the source`);
    assert(survivors.isWhole(name), `${name} is torn`);
  }
  assert.equal(run.ledger.counts.copied.objects, names.size);
}
