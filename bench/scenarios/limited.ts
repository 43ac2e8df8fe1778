/** `--throughput` against the server's own count of what left it in each second. */
import { startEmulatorProcess } from "../../test/emulator/process.ts";
import { RunFolders } from "../folders.ts";
import { measure } from "../measure.ts";
import { ours } from "../peers/ours.ts";
import { alibabaKeys } from "../peers/peer.ts";
import { type Metric, peakMiB, type Sample, type ScenarioResult, wallSeconds } from "../result.ts";
import { type Contender, inRounds } from "../rounds.ts";
import type { Bench } from "./scenario.ts";

const limitsMBps = [20, 100];
const seconds = 8;
const quickSeconds = 3;
const megabyte = 1e6;

/** Flags of the emulator for objects of about so many bytes in all. */
const loads: Readonly<Record<string, (bytes: number) => string[]>> = {
  large: (bytes) => ["--large", `2x${Math.round(bytes / 2)}`],
  small: (bytes) => ["--small", `${Math.round(bytes / 65_536)}x64KiB`],
  mixed: (bytes) => [
    ...["--large", `1x${Math.round(bytes / 2)}`, "--small", `${Math.round(bytes / 4 / 34_816)}x4KiB-64KiB`],
    ...["--large", `${Math.max(1, Math.round(bytes / 4 / (4.5 * megabyte)))}x1MB-8MB`],
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
  peakMiB,
];

export async function limited(bench: Bench): Promise<ScenarioResult> {
  await using folders = await RunFolders.open(bench.workPath);
  const contenders = limitsMBps.flatMap((limit) =>
    Object.entries(loads).map(([load, flags]): Contender => {
      const bytes = limit * megabyte * (bench.quick ? quickSeconds : seconds);
      return { name: `${limit} MBps, ${load}`, run: () => run(bench, folders, limit, flags(bytes)) };
    }),
  );
  const title =
    "oss-populator --throughput: bytes that left the server in each whole second after the first, against the limit.";
  return { name: "limited", title, metrics, ...(await inRounds(contenders, bench.rounds)) };
}

async function run(
  bench: Bench,
  folders: RunFolders,
  limitMBps: number,
  flags: readonly string[],
): Promise<Omit<Sample, "contender" | "round">> {
  const target = await folders.fresh();
  const { id, secret } = { id: alibabaKeys.OSS_ACCESS_KEY_ID, secret: alibabaKeys.OSS_ACCESS_KEY_SECRET };
  await using emulator = await startEmulatorProcess([
    ...["--prefix", "set/", "--access-key-id", id, "--access-key-secret", secret, ...flags],
  ]);
  const { url, bucket } = emulator.ready;
  const job = {
    shape: "mixed",
    url,
    caFile: undefined,
    bucket,
    prefix: "set/",
    target,
    workPath: bench.workPath,
  } as const;
  const command = ours.command(job);
  const args = [...command.args, "--throughput", String(limitMBps)];
  const measured = await measure({ ...command, args }, bench.workPath, target);
  return { ...measured, extra: deviations(await emulator.control.bytesSentPerSecond(), limitMBps * megabyte) };
}

/** Leaves out the first second, which finds the kernel's buffers empty, and the last, which is not whole. */
function deviations(perSecond: readonly number[], limit: number): Record<string, number> {
  const end = perSecond.findLastIndex((bytes) => bytes > 0);
  const off = perSecond.slice(1, end).map((bytes) => (bytes / limit - 1) * 100);
  if (off.length === 0) throw new Error("the run was too short for a whole second");
  const sizes = off.map(Math.abs);
  return {
    worstPercent: Math.max(...sizes),
    meanPercent: sizes.reduce((sum, size) => sum + size, 0) / sizes.length,
    abovePercent: Math.max(0, ...off),
    seconds: off.length,
  };
}
