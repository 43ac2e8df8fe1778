// CRC-64/XZ, kernel against hash-wasm, both on the same bytes in alternating rounds.
// Table on standard error, JSON on standard output: node bench/micro/crc64.bench.ts [ROUNDS]
import { randomFillSync } from "node:crypto";
import { cpus } from "node:os";
import { createCRC64 } from "hash-wasm";
import { crc64, createCrc64Kernel, kernelBytes } from "../../src/checksum/crc64.ts";

const sizes = [1_024, 4 * 1_024, 16 * 1_024, 64 * 1_024, 256 * 1_024, 1_024 * 1_024];
const roundBytes = 8 * 1_024 * 1_024;

interface Contender {
  readonly name: string;
  run(sizeBytes: number): unknown;
}

interface Result {
  readonly sizeBytes: number;
  readonly name: string;
  readonly medianMBps: number;
  readonly lowestMBps: number;
  readonly highestMBps: number;
  /** Median over the rounds of the ratio to hash-wasm in the same round. */
  readonly timesHashWasm: number;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function megabytesPerSecond(contender: Contender, sizeBytes: number): number {
  const calls = roundBytes / sizeBytes;
  const start = process.hrtime.bigint();
  for (let call = 0; call < calls; call++) contender.run(sizeBytes);
  return (roundBytes / Number(process.hrtime.bigint() - start)) * 1_000;
}

function compare(contenders: readonly Contender[], sizeBytes: number, rounds: number): Result[] {
  const speeds = contenders.map((): number[] => []);
  for (let round = -2; round < rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      const speed = megabytesPerSecond(contender, sizeBytes);
      if (round >= 0) speeds[index]?.push(speed); // the rounds below 0 warm up
    }
  }
  return contenders.map(({ name }, index) => {
    const own = speeds[index] ?? [];
    return {
      sizeBytes,
      name,
      medianMBps: Math.round(median(own)),
      lowestMBps: Math.round(Math.min(...own)),
      highestMBps: Math.round(Math.max(...own)),
      timesHashWasm: Number(median(own.map((speed, round) => speed / (speeds[0]?.[round] ?? 1))).toFixed(2)),
    };
  });
}

function milliseconds(work: () => unknown): number {
  const start = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - start) / 1e6;
}

function printTable(results: readonly Result[]): void {
  const lines = results.map(
    (r) =>
      `${`${r.sizeBytes / 1_024} KiB`.padStart(9)}  ${r.name.padEnd(16)}${String(r.medianMBps).padStart(7)} MB/s` +
      `  (${r.lowestMBps}–${r.highestMBps})`.padEnd(18) +
      `${r.timesHashWasm.toFixed(2).padStart(7)} ×`,
  );
  console.error(lines.join("\n"));
}

const rounds = Number(process.argv[2] ?? 21);
// First of all, while nothing is compiled: what a data thread pays once.
const startUpMs = milliseconds(() => createCrc64Kernel(0));
const kernel = createCrc64Kernel(Math.max(...sizes));
const data = randomFillSync(new Uint8Array(kernel.memory.buffer, kernelBytes));
const firstMebibyteMs = milliseconds(() => kernel.update(0n, kernelBytes, 1_024 * 1_024));
const hashWasm = await createCRC64();
const contenders: Contender[] = [
  { name: "hash-wasm", run: (size) => hashWasm.init().update(data.subarray(0, size)).digest("binary") },
  { name: "kernel", run: (size) => kernel.update(0n, kernelBytes, size) },
  { name: "kernel, odd start", run: (size) => kernel.update(0n, kernelBytes + 3, size - 3) },
  { name: "crc64 (copies)", run: (size) => crc64(data.subarray(0, size)) },
];
const results = sizes.flatMap((sizeBytes) => compare(contenders, sizeBytes, rounds));
const combineUs = median(
  Array.from({ length: 101 }, () => milliseconds(() => kernel.combine(1n, 2n, 8_388_607)) * 1_000),
);
printTable(results);
const facts = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, rounds };
console.log(JSON.stringify({ bench: "crc64", ...facts, startUpMs, firstMebibyteMs, combineUs, results }, null, 2));
