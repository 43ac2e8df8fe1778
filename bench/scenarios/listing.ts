/** A million keys, and ten million, of which nothing is copied. */
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

const quickKeys = 5_000;

export function listing(bench: Bench): Promise<ScenarioResult> {
  return list(bench, { name: "listing", keys: 1_000_000, rounds: bench.rounds, peers: true });
}

/** Whether memory stays flat: ours alone, once. */
export function longListing(bench: Bench): Promise<ScenarioResult> {
  return list(bench, { name: "listing-long", keys: 10_000_000, rounds: 1, peers: false });
}

interface Work {
  readonly name: string;
  readonly keys: number;
  readonly rounds: number;
  readonly peers: boolean;
}

async function list(bench: Bench, { name, keys, rounds: times, peers }: Work): Promise<ScenarioResult> {
  const count = bench.quick ? quickKeys : keys;
  await using emulator = await startEmulatorProcess([
    ...["--keys", String(count), "--prefix", "set/"],
    ...["--access-key-id", accessKey.id, "--access-key-secret", accessKey.secret],
  ]);
  const target = await mkdtemp(join(bench.workPath, "listing-"));
  const { url, bucket } = emulator.ready;
  const { workPath } = bench;
  const job: Job = { shape: "small", url, caFile: undefined, bucket, prefix: "set/", target, workPath };
  const dryRun = withArguments(ours.command(job), "--dry-run");
  const mine = { name: "oss-populator --dry-run", run: () => measure(dryRun, workPath) };
  const naive = {
    name: "ali-oss listV2",
    run: () => measure(aliOss.command({ ...job, target: "list" }), workPath),
  };
  const contenders = peers ? [mine, naive] : [mine];
  const perCpuSecond = {
    title: "keys per CPU second",
    digits: 0,
    better: "more",
    of: (sample: { cpuSeconds: number }) => count / sample.cpuSeconds,
  } as const;
  try {
    const rounds = await inRounds(contenders, times);
    const title = `${count.toLocaleString("en")} keys listed and planned, nothing copied.`;
    return { name, title, metrics: [perCpuSecond, wallSeconds, peakMiB], ...rounds };
  } finally {
    await rm(target, { recursive: true, force: true });
  }
}

function withArguments(command: Command, ...more: readonly string[]): Command {
  return { ...command, args: [...command.args, ...more] };
}
