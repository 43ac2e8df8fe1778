/** A million keys, nothing copied. */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { startEmulatorProcess } from "../../test/emulator/process.ts";
import { type Command, measure } from "../measure.ts";
import { aliOss } from "../peers/ali-oss.ts";
import { ours } from "../peers/ours.ts";
import { accessKey, type Job } from "../peers/peer.ts";
import { peakMiB, type ScenarioResult, wallSeconds } from "../result.ts";
import { inRounds } from "../rounds.ts";
import type { Bench } from "./scenario.ts";

const keys = 1_000_000;
const quickKeys = 5_000;

export async function listing(bench: Bench): Promise<ScenarioResult> {
  const count = bench.quick ? quickKeys : keys;
  await using emulator = await startEmulatorProcess([
    ...["--keys", String(count), "--prefix", "set/"],
    ...["--access-key-id", accessKey.id, "--access-key-secret", accessKey.secret],
  ]);
  const target = await mkdtemp(join(bench.targetPath, "listing-"));
  const { url, bucket } = emulator.ready;
  const { workPath } = bench;
  const job: Job = { shape: "small", url, caFile: undefined, bucket, prefix: "set/", target, workPath };
  const dryRun = withArguments(ours.command(job), "--dry-run");
  const contenders = [
    { name: "oss-populator --dry-run", run: () => measure(dryRun, workPath) },
    { name: "ali-oss listV2", run: () => measure(aliOss.command({ ...job, target: "list" }), workPath) },
  ];
  const perCpuSecond = {
    title: "keys per CPU second",
    digits: 0,
    better: "more",
    of: (sample: { cpuSeconds: number }) => count / sample.cpuSeconds,
  } as const;
  try {
    const rounds = await inRounds(contenders, bench.rounds);
    const title = `${count.toLocaleString("en")} keys listed and planned, nothing copied.`;
    return { name: "listing", title, metrics: [perCpuSecond, wallSeconds, peakMiB], ...rounds };
  } finally {
    await rm(target, { recursive: true, force: true });
  }
}

function withArguments(command: Command, ...more: readonly string[]): Command {
  return { ...command, args: [...command.args, ...more] };
}
