import fc from "fast-check";
import { expect, test } from "vitest";
import { CopyError, type ErrorKind } from "../../src/errors.ts";
import type { Logger } from "../../src/types.ts";
import { copyWorld, leftovers, makeWorld, nothingLeft } from "../support/engine-world.ts";
import { seededRandom } from "../support/fake-clock.ts";
import type { Fault } from "../support/memory-bucket.ts";
import { silentLogger } from "../support/observers.ts";

const passing: ErrorKind[] = ["unreachable", "interrupted", "protocol", "server", "throttled", "expired"];
const lasting: ErrorKind[] = ["missing", "missing", "missing", "rejected", "rejected", "unsupported", "auth"];

const fault: fc.Arbitrary<Fault | undefined> = fc.oneof(
  { weight: 12, arbitrary: fc.constant(undefined) },
  { weight: 4, arbitrary: fc.constantFrom(...passing).map((kind) => ({ kind })) },
  { weight: 3, arbitrary: fc.constantFrom("truncated", "flipped", "overwritten").map((kind) => ({ kind }) as Fault) },
  { weight: 1, arbitrary: fc.constantFrom(...lasting).map((kind) => ({ kind })) },
);

const object = fc.record({
  key: fc
    .array(fc.oneof({ weight: 25, arbitrary: fc.nat(60).map((n) => `d${n}`) }, fc.constantFrom("a", "a-", "..")), {
      minLength: 1,
      maxLength: 3,
    })
    .map((segments) => segments.join("/")),
  sizeBytes: fc.oneof(fc.nat(70), fc.nat(400)),
  proof: fc.constantFrom("crc64" as const, "md5" as const),
  type: fc.constantFrom("Normal", "Normal", "Multipart", "Symlink"),
});

const scenario = fc.record({
  objects: fc.uniqueArray(object, { selector: ({ key }) => key, maxLength: 25, size: "max" }),
  faults: fc.array(fault, { maxLength: 120, size: "max" }),
  volumeFaults: fc.array(fc.nat(19), { maxLength: 40 }),
  seed: fc.nat(),
  mostRequests: fc.integer({ min: 1, max: 9 }),
  concurrency: fc.integer({ min: 1, max: 12 }),
  retries: fc.nat(6),
  staged: fc.boolean(),
  limited: fc.boolean(),
  unsupported: fc.constantFrom("fail" as const, "skip" as const),
  maxFailures: fc.constantFrom(undefined, undefined, 1, 3),
});

type Scenario = typeof scenario extends fc.Arbitrary<infer S> ? S : never;

/** Counts how often each key ended. */
class Ends {
  readonly copied: string[] = [];
  readonly others: string[] = [];
  readonly logger: Logger = { ...silentLogger, debug: this.#note.bind(this), warn: this.#note.bind(this) };

  #note(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    if (event === "object copied") this.copied.push(String(fields.key));
    if (event === "object failed") this.others.push(String(fields.key));
    if (event === "object skipped" && !("error" in fields)) this.others.push(String(fields.key));
  }
}

async function runScenario(given: Scenario) {
  const { seed, mostRequests, retries, staged, faults, volumeFaults } = given;
  const random = seededRandom(seed);
  const ends = new Ends();
  let volumeCalls = 0;
  const world = makeWorld({
    seed,
    mostRequests,
    retries,
    staged,
    ...(given.limited && { bytesPerSecond: 20_000 }),
    pageKeys: () => Math.floor(random() * 6),
    // A listing that fails ends the run: only some of its requests do.
    faults: ({ index, operation }) => (operation === "list" && index % 5 > 0 ? undefined : faults[index]),
    volumeFault: (action, path) => {
      if (action === "abandon") return undefined;
      return volumeFaults[volumeCalls++] === 1 ? new CopyError("occupied", `${action} ${path}`) : undefined;
    },
    logger: ends.logger,
  });
  for (const { key, sizeBytes, proof, type } of given.objects) {
    const bytes = Uint8Array.from({ length: sizeBytes }, () => Math.floor(random() * 256));
    world.bucket.put(key, bytes, { proof, type });
  }
  const { concurrency, unsupported, maxFailures } = given;
  const options = { concurrency, unsupported, maxFailures, retries };
  const error: unknown = await copyWorld(world, { options }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { world, ends, error };
}

test("under any faults a run ends, each listed object ends once, and what counts as copied equals its source", async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      const { world, ends, error } = await runScenario(given);
      const { listed, copied, skipped, failed } = world.ledger.counts;
      if (error === undefined) {
        expect(listed.objects).toBe(given.objects.length);
        expect(copied.objects + skipped.objects + failed.objects).toBe(listed.objects);
      } else {
        expect((error as Error).name).toMatch(/^(CopyError|TooManyFailures)$/);
      }
      expect(new Set(ends.copied).size).toBe(copied.objects);
      expect(new Set([...ends.copied, ...ends.others]).size).toBe(copied.objects + skipped.objects + failed.objects);
      for (const key of ends.copied) {
        const { bytes, modifiedMs } = world.bucket.stored(key);
        const file = world.plane.volume.files.get(key);
        expect(file && Buffer.compare(file.bytes, bytes), key).toBe(0);
        expect(file?.modifiedMs).toBe(modifiedMs);
      }
      if (error === undefined) expect([...world.plane.volume.files.keys()].toSorted()).toEqual(ends.copied.toSorted());
      expect(leftovers(world)).toEqual(nothingLeft);
    }),
    { numRuns: 500 },
  );
});

test("the scenarios reach all ends", async () => {
  const seen = new Set<string>();
  for (const given of fc.sample(scenario, { numRuns: 120, seed: 7 })) {
    const { world, error } = await runScenario(given);
    seen.add(error === undefined ? "complete" : (error as Error).name);
    const { copied, skipped, failed } = world.ledger.counts;
    for (const [name, { objects }] of Object.entries({ copied, skipped, failed })) if (objects > 0) seen.add(name);
    for (const kind of world.ledger.failureKinds) seen.add(kind);
  }
  const all = [
    "complete",
    "CopyError",
    "TooManyFailures",
    "copied",
    "skipped",
    "failed",
    "missing",
    "corrupt",
    "changed",
  ];
  for (const end of all) expect(seen).toContain(end);
});
