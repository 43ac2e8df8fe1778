import { afterAll, beforeAll, expect, test } from "vitest";
import { type EmulatorProcess, startEmulatorProcess } from "../emulator/process.ts";
import { startCli, tracesAt } from "./support/cli.ts";
import { makeScratch, type Scratch } from "./support/scratch.ts";

const limitBytes = 20_000_000;

// In a process of its own, so that the server's clock and its load are not the test's.
let emulator: EmulatorProcess;
let scratch: Scratch;
beforeAll(async () => {
  const large = ["--large", "4x20MB", "--prefix", "large/"];
  emulator = await startEmulatorProcess(large);
  scratch = await makeScratch();
  const body = JSON.stringify({ bucket: emulator.ready.bucket, prefix: "small/", count: 1250, sizeBytes: 64_000 });
  await fetch(`${emulator.ready.url}/_emulator/generate`, { method: "POST", body });
});
afterAll(async () => {
  await emulator[Symbol.asyncDispose]();
  await scratch[Symbol.asyncDispose]();
});

// A machine that is busy elsewhere can spoil a second; it does not do so twice in a row.
for (const kind of ["large", "small"] as const) {
  test(`--throughput holds in every second with ${kind} objects`, { retry: 1 }, async () => {
    const { ready, control } = emulator;
    const name = `${kind}-${performance.now()}`;
    const traces = tracesAt(`${scratch.path}/${name}`);
    await control.resetCounters();

    const args = ["populate", "--throughput", "20", "--target", await scratch.directory(name), "--path", `${kind}/`];
    const from = ["--bucket", ready.bucket, "--endpoint", ready.url, "--region", ready.region];
    const more = [...from, "--report", traces.report, "--fail-hold", "0s"];
    const env = {
      ALIBABA_CLOUD_ACCESS_KEY_ID: ready.accessKeyId,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: ready.accessKeySecret,
    };
    const result = await startCli([...args, ...more], { env, traces }).result;
    const perSecond = await control.bytesSentPerSecond();

    expect(result).toMatchObject({ exitCode: 0, report: { throughput: { limitBytesPerSecond: limitBytes } } });
    expect(result.report?.waits.limiterSeconds).toBeGreaterThan(0);
    // The first second holds the start, and what follows the last byte is no second of the transfer.
    const full = perSecond.slice(1, 3);
    expect(full.length).toBe(2);
    for (const bytes of full) {
      expect(bytes).toBeGreaterThan(0.95 * limitBytes);
      expect(bytes).toBeLessThan(1.05 * limitBytes);
    }
    expect(perSecond[0]).toBeLessThan(1.05 * limitBytes);
  });
}
