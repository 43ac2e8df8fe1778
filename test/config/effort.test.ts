import { describe, expect, it } from "vitest";
import { configOf, copy, populate, problemsOf, verify } from "./support.ts";

const mib = 1024 * 1024;

describe("defaults of effort", () => {
  it("are the contract's", async () => {
    expect((await configOf(populate)).effort).toEqual({
      limitBytesPerSecond: undefined,
      concurrency: 128,
      partBytes: 8 * mib,
      memoryBytes: 64 * mib,
      threads: 2,
      threadsIntoMemory: 2,
      connectTimeoutMs: 10_000,
      stallTimeoutMs: 30_000,
      minBytesPerSecond: 1024,
      retries: 8,
      retryForMs: 600_000,
      maxFailures: 1,
      failHoldMs: 30_000,
      failHoldGrows: true,
    });
  });

  it.each([
    [0.1, 32],
    [1, 64],
    [2.5, 160],
    [64, 256],
  ])("of %s CPUs are %s requests", async (cpus, concurrency) => {
    const { effort } = await configOf(populate, { cgroup: { cpus, memoryBytes: undefined } });
    expect(effort.concurrency).toBe(concurrency);
  });

  it("of a pod without limits do not grow with its node", async () => {
    const { effort } = await configOf(populate, { cgroup: { cpus: 192, memoryBytes: undefined } });
    expect(effort).toMatchObject({ concurrency: 256, memoryBytes: 64 * mib, partBytes: 8 * mib, threads: 4 });
  });

  it.each([
    [32, 16],
    [192, 32],
    [4096, 64],
  ])("of a limit of %s MiB are %s MiB of buffers", async (limit, memory) => {
    const { effort } = await configOf(populate, { cgroup: { cpus: 1, memoryBytes: limit * mib } });
    expect(effort.memoryBytes).toBe(memory * mib);
  });

  it("stop no copy and no verify for failures", async () => {
    for (const argv of [copy, verify]) expect((await configOf(argv)).effort.maxFailures).toBeUndefined();
  });

  it("hold a populate that failed, and grow, but nothing a person waits for", async () => {
    const hold = async (argv: readonly string[], isTerminal = false) => {
      const { failHoldMs, failHoldGrows } = (await configOf(argv, { isTerminal })).effort;
      return [failHoldMs, failHoldGrows];
    };
    expect(await hold(populate)).toEqual([30_000, true]);
    expect(await hold(populate, true)).toEqual([0, false]);
    expect(await hold(copy)).toEqual([0, false]);
    expect(await hold(verify)).toEqual([0, false]);
    expect(await hold([...populate, "--fail-hold=30s"])).toEqual([30_000, false]);
    expect(await hold([...copy, "--fail-hold=5m"], true)).toEqual([300_000, false]);
  });
});

describe("memory", () => {
  it("bounds the default part", async () => {
    expect((await configOf([...populate, "--memory=5MiB"])).effort.partBytes).toBe(5 * mib);
  });

  it("may not be less than a part that is asked for", async () => {
    expect(await problemsOf([...populate, "--memory=4MiB", "--part-size=8MiB"])).toEqual([
      "--part-size is 8MiB, more than --memory, 4MiB",
    ]);
    expect(await problemsOf([...populate, "--part-size=128MiB"])).toEqual([
      "--part-size is 128MiB, more than the default of --memory, 64MiB",
    ]);
  });

  it("too small for the threads that are asked for is warned of, and threads are fewer", async () => {
    const { effort, warnings } = await configOf([...populate, "--memory=9MiB", "--threads=5"]);
    expect([effort.threads, effort.threadsIntoMemory]).toEqual([2, 2]);
    expect(warnings).toEqual(["--threads is 5, but --memory of 9MiB is enough for 2 only"]);
    expect((await configOf([...populate, "--memory=9MiB", "--threads=2"])).warnings).toEqual([]);
  });

  it("over half of the container's limit is warned of", async () => {
    const cgroup = { cpus: 1, memoryBytes: 100 * mib };
    expect((await configOf([...populate, "--memory=64MiB"], { cgroup })).warnings).toEqual([
      "--memory is 64MiB, more than half of the cgroup's memory limit of 104857600 bytes",
    ]);
    expect((await configOf([...populate, "--memory=32MiB"], { cgroup })).warnings).toEqual([]);
  });
});
