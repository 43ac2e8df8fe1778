/** `--throughput` against the server's own count of what left it in each second. */
import { mkdtemp, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { emptyLargeFiles } from "../folders.ts";
import { measure } from "../measure.ts";
import { memoryFolder } from "../memory.ts";
import { ours } from "../peers/ours.ts";
import { type Metric, peakMiB, type Sample, type ScenarioResult, wallSeconds } from "../result.ts";
import { type Contender, inRounds } from "../rounds.ts";
import { nginxProgram } from "../server/configuration.ts";
import { type Batch, totalBytes } from "../server/data-set.ts";
import { bucket, FileServer } from "../server/nginx.ts";
import { sentInAll, sentPerSecond } from "../server/sent.ts";
import type { Bench } from "./scenario.ts";

const limitsMBps = [20, 100];
const seconds = 8;
const quickSeconds = 3;
const megabyte = 1e6;

/** Objects of about so many bytes in all. */
const loads: Readonly<Record<string, (bytes: number) => Batch[]>> = {
  large: (bytes) => [{ name: "large", count: 2, sizeBytes: Math.round(bytes / 2) }],
  small: (bytes) => [{ name: "small", count: Math.round(bytes / 65_536), sizeBytes: 65_536 }],
  mixed: (bytes) => [
    { name: "large", count: 1, sizeBytes: Math.round(bytes / 2) },
    { name: "small", count: Math.round(bytes / 4 / 34_816), sizeBytes: { min: 4096, max: 65_536 } },
    {
      name: "large",
      count: Math.max(1, Math.round(bytes / 4 / (4.5 * megabyte))),
      sizeBytes: { min: megabyte, max: 8 * megabyte },
    },
  ],
};

const percent = (title: string, name: string): Metric => ({
  title,
  digits: 1,
  better: "less",
  of: ({ extra }) => extra?.[name] ?? Number.NaN,
});
const metrics = [
  percent("worst second, % off", "worstPercent"),
  percent("mean second, % off", "meanPercent"),
  percent("most above, %", "abovePercent"),
  wallSeconds,
  { title: "CPU s", digits: 1, better: "less", of: ({ cpuSeconds }: Sample) => cpuSeconds },
  peakMiB,
] as const;

interface Load {
  readonly limitMBps: number;
  readonly name: string;
  readonly prefix: string;
  readonly batches: readonly Batch[];
}

export async function limited(bench: Bench): Promise<ScenarioResult> {
  if (nginxProgram() === undefined) throw new Error("nginx is not installed (bench/peers/install gets it)");
  const folder = await mkdtemp(join(bench.workPath, "limited-"));
  // Targets and the server's log are no business of a disk: one that others keep busy holds them up for a second.
  using memory = await memoryFolder();
  const logFile = join(memory.path, "answers.log");
  await using server = await FileServer.start(folder);
  const served = limitsMBps.flatMap((limitMBps) => loadsOf(limitMBps, bench.quick ? quickSeconds : seconds));
  const sets = Object.fromEntries(served.map(({ prefix, batches }) => [prefix, batches]));
  const files = await server.serve(sets, { logFile });
  const contenders = served.map(({ limitMBps, name, prefix }): Contender => {
    const dueBytes = totalBytes(files.filter(({ key }) => key.startsWith(prefix)));
    return {
      name: `${limitMBps} MBps, ${name}`,
      async run() {
        await truncate(logFile);
        const target = await memory.fresh();
        const job = { ...server.http, shape: "mixed", bucket, prefix, target, workPath: folder } as const;
        const command = ours.command(job);
        const args = [...command.args, "--throughput", String(limitMBps)];
        const measured = await measure({ ...command, args }, folder);
        return { ...measured, extra: deviations(await readFile(logFile, "utf8"), dueBytes, limitMBps * megabyte) };
      },
    };
  });
  const rounds = await inRounds(contenders, bench.rounds);
  await emptyLargeFiles(folder);
  const title =
    "oss-populator --throughput into memory: bytes that left the server (nginx, by its log) in each whole second after the first, against the limit.";
  return { name: "limited", title, metrics, ...rounds };
}

function loadsOf(limitMBps: number, wholeSeconds: number): Load[] {
  return Object.entries(loads).map(([name, batches]) => ({
    limitMBps,
    name,
    prefix: `${limitMBps}-${name}/`,
    batches: batches(limitMBps * megabyte * wholeSeconds),
  }));
}

/** Leaves out the first second, which holds the start, and the last, which is not whole. */
function deviations(log: string, dueBytes: number, limit: number): Record<string, number> {
  const sentBytes = sentInAll(log);
  if (sentBytes < dueBytes) throw new Error(`the server counted ${sentBytes} bytes of ${dueBytes}`);
  const off = sentPerSecond(log)
    .slice(1)
    .map((bytes) => (bytes / limit - 1) * 100);
  if (off.length === 0) throw new Error("the run was too short for a whole second");
  const sizes = off.map(Math.abs);
  return {
    worstPercent: Math.max(...sizes),
    meanPercent: sizes.reduce((sum, size) => sum + size, 0) / sizes.length,
    abovePercent: Math.max(0, ...off),
    seconds: off.length,
  };
}
