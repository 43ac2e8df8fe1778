import { expect, test } from "vitest";
import { FakeClock, seededRandom } from "../support/fake-clock.ts";
import { MemoryBucket, type PutOptions } from "../support/memory-bucket.ts";
import { EngineRun, Survivors } from "./killed-engine.ts";

const plan = { random: seededRandom(1), faults: () => undefined, unsupported: "fail", maxFailures: undefined } as const;

function put(survivors: Survivors, key: string, options: PutOptions = {}): void {
  new MemoryBucket(new FakeClock(), undefined, survivors.store).put(key, `content of ${key}`, options);
  survivors.remember();
}

/** A run that fails because of one object that cannot be planned, and leaves a checkpoint. */
async function refusedOnce(key: string, options: PutOptions = {}): Promise<Survivors> {
  const survivors = new Survivors();
  for (const name of ["a", "b", "z"]) put(survivors, name);
  put(survivors, key, options);
  const run = new EngineRun(survivors, plan);
  expect(await run.go(Number.POSITIVE_INFINITY)).toBe(true);
  expect(run.ledger.failures.map((failure) => failure.key)).toEqual([key]);
  expect(survivors.loaded()?.open.map(({ entry }) => entry.key)).toEqual([key]);
  return survivors;
}

async function runAgain(survivors: Survivors): Promise<EngineRun> {
  const run = new EngineRun(survivors, plan);
  expect(run.resumed).toBe(true);
  expect(await run.go(Number.POSITIVE_INFINITY)).toBe(true);
  return run;
}

test("a key that cannot be a file fails every run", async () => {
  const survivors = await refusedOnce("b/../c");
  const run = await runAgain(survivors);
  expect(run.ledger.failures).toMatchObject([{ key: "b/../c", kind: "unsupported" }]);
});

test("a key that cannot be a file and was deleted since does not keep a run from its end", async () => {
  const survivors = await refusedOnce("b/../c");
  survivors.store.objects.delete("b/../c");
  const run = await runAgain(survivors);
  expect([run.error, run.ledger.failures]).toEqual([undefined, []]);
  expect(run.ledger.counts).toMatchObject({ listed: { objects: 3 }, copied: { objects: 3 } });
});

test("an archived object that was restored since is copied", async () => {
  const survivors = await refusedOnce("frozen", { storageClass: "ColdArchive" });
  put(survivors, "frozen");
  const run = await runAgain(survivors);
  expect([run.error, run.ledger.failures]).toEqual([undefined, []]);
  expect(survivors.disk.names().toSorted()).toEqual(["a", "b", "frozen", "z"]);
});
