/** Small objects when every answer comes late: how much of what its requests in flight allow does a client reach? */
import { startEmulatorProcess } from "../../test/emulator/process.ts";
import { countTree, RunFolders } from "../folders.ts";
import { type Command, measure } from "../measure.ts";
import { aliOss } from "../peers/ali-oss.ts";
import { ours } from "../peers/ours.ts";
import { accessKey, type Job } from "../peers/peer.ts";
import { objectMetrics, peakMiB, type Sample, type ScenarioResult, wallSeconds } from "../result.ts";
import { inRounds } from "../rounds.ts";
import type { Bench } from "./scenario.ts";

const latencyMs = 20;
/** Of both, and so few that the emulator keeps up. */
const inFlight = 32;
const objects = 10_000;
const quickObjects = 200;

export async function latency(bench: Bench): Promise<ScenarioResult> {
  const count = bench.quick ? quickObjects : objects;
  await using emulator = await startEmulatorProcess([
    ...["--small", `${count}x16KiB`, "--prefix", "set/", "--latency-ms", String(latencyMs)],
    ...["--access-key-id", accessKey.id, "--access-key-secret", accessKey.secret],
  ]);
  await using folders = await RunFolders.open(bench.workPath);
  const { url, bucket } = emulator.ready;
  const job = { shape: "small", url, caFile: undefined, bucket, prefix: "set/", workPath: bench.workPath } as const;
  const commands: Readonly<Record<string, (job: Job) => Command>> = {
    "oss-populator": (whole) => {
      const mine = ours.command(whole);
      return { ...mine, args: [...mine.args, "--concurrency", String(inFlight)] };
    },
    "ali-oss": (whole) => aliOss.command(whole),
  };
  const contenders = Object.entries(commands).map(([name, command]) => ({
    name,
    run: async () => {
      const target = await folders.fresh();
      const measured = await measure(command({ ...job, target }), bench.workPath, target);
      const { files } = await countTree(target);
      if (files !== count) throw new Error(`${files} files where ${count} are due`);
      return measured;
    },
  }));
  const ceiling = inFlight / (latencyMs / 1000);
  const share = {
    title: "share of the ceiling",
    digits: 2,
    better: "more",
    of: (sample: Pick<Sample, "wallSeconds">) => count / sample.wallSeconds / ceiling,
  } as const;
  const rounds = await inRounds(contenders, bench.rounds);
  const title = `${count.toLocaleString("en")} × 16 KiB, ${latencyMs} ms before each answer, ${inFlight} requests in flight: at most ${ceiling} objects/s.`;
  return { name: "latency", title, metrics: [share, ...objectMetrics(count), wallSeconds, peakMiB], ...rounds };
}
