/** Small objects on a disk whose file calls are slow, as on cloud disks and NFS: how much of what waits in parallel is used? */
import { existsSync } from "node:fs";
import { startEmulatorProcess } from "../../test/emulator/process.ts";
import { countTree, RunFolders } from "../folders.ts";
import { type Command, measure } from "../measure.ts";
import { ours } from "../peers/ours.ts";
import { accessKey } from "../peers/peer.ts";
import { objectMetrics, peakMiB, type Sample, type ScenarioResult, wallSeconds } from "../result.ts";
import { inRounds } from "../rounds.ts";
import type { Bench } from "./scenario.ts";

const strace = "/usr/bin/strace";
/** An object is opened, written, dated and closed. The two that only object files need are delayed for all four. */
const callMs = 2;
const callsPerObject = 4;
const delayed = ["pwrite64", "utimensat"] as const;
const inFlight = 32;
const objects = 10_000;
const quickObjects = 200;

export async function slowDisk(bench: Bench): Promise<ScenarioResult> {
  if (!existsSync(strace)) throw new Error("strace is not installed (bench/peers/install gets it)");
  const count = bench.quick ? quickObjects : objects;
  await using emulator = await startEmulatorProcess([
    ...["--small", `${count}x16KiB`, "--prefix", "set/"],
    ...["--access-key-id", accessKey.id, "--access-key-secret", accessKey.secret],
  ]);
  await using folders = await RunFolders.open(bench.workPath);
  const { url, bucket } = emulator.ready;
  const contender = {
    name: "oss-populator",
    run: async () => {
      const target = await folders.fresh();
      const job = { shape: "small", url, caFile: undefined, bucket, prefix: "set/", workPath: bench.workPath } as const;
      const measured = await measure(slowed(ours.command({ ...job, target })), bench.workPath, target);
      const { files } = await countTree(target);
      if (files !== count) throw new Error(`${files} files where ${count} are due`);
      return measured;
    },
  };
  const ceiling = inFlight / ((callMs * callsPerObject) / 1000);
  const share = {
    title: "share of the ceiling",
    digits: 2,
    better: "more",
    of: (sample: Pick<Sample, "wallSeconds">) => count / sample.wallSeconds / ceiling,
  } as const;
  const rounds = await inRounds([contender], bench.rounds);
  const title = `${count.toLocaleString("en")} × 16 KiB, ${callMs} ms added to each of ${callsPerObject} file calls, ${inFlight} requests in flight: at most ${ceiling} objects/s.`;
  return { name: "slow-disk", title, metrics: [share, ...objectMetrics(count), wallSeconds, peakMiB], ...rounds };
}

/** The kernel holds those calls back; all others run at full speed. */
function slowed({ program, args, env }: Command): Command {
  const calls = delayed.join(",");
  const delayUs = (callMs * callsPerObject * 1000) / delayed.length;
  return {
    program: strace,
    args: [
      ...["-f", "--seccomp-bpf", "-o", "/dev/null", "-e", `trace=${calls}`],
      ...["-e", `inject=${calls}:delay_enter=${delayUs}`, program],
      ...args,
      ...["--concurrency", String(inFlight)],
    ],
    ...(env && { env }),
  };
}
