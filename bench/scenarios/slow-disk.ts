/** Small objects on a disk whose file calls are slow, as on cloud disks and NFS: how much of what waits in parallel is used? */
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { driver } from "../drivers/driver.ts";
import { countTree } from "../folders.ts";
import { measure } from "../measure.ts";
import { memoryFolder } from "../memory.ts";
import { ours } from "../peers/ours.ts";
import { objectMetrics, peakMiB, type ScenarioResult, shareOf, wallSeconds } from "../result.ts";
import { inRounds } from "../rounds.ts";
import { nginxProgram } from "../server/configuration.ts";
import { bucket, FileServer } from "../server/nginx.ts";
import { compileSlowFiles, slowed } from "../slow-files.ts";
import type { Bench } from "./scenario.ts";

const callMs = 2;
/** An object is opened, written, dated and closed, one after the other. */
const callsPerObject = 4;
/** An object is in flight until its file is closed; fewer than the thread pool has threads, and so few that two CPUs keep up. */
const inFlight = 16;
/** So many that the start, a quarter of a second, weighs little. */
const objects = 20_000;
const quickObjects = 200;
const sizeBytes = 16 * 1024;
const prefix = "set/";

export async function slowDisk(bench: Bench): Promise<ScenarioResult> {
  if (nginxProgram() === undefined) throw new Error("nginx is not installed (bench/peers/install gets it)");
  const count = bench.quick ? quickObjects : objects;
  const workPath = await mkdtemp(join(bench.workPath, "slow-disk-"));
  const library = compileSlowFiles(workPath);
  using memory = await memoryFolder(); // what is slow is to be known
  await using server = await FileServer.start(workPath);
  await server.serve({ [prefix]: [{ name: "small", count, sizeBytes }] });
  const copy = {
    name: "oss-populator",
    run: async () => {
      const target = await memory.fresh();
      const mine = ours.command({ ...server.http, shape: "small", bucket, prefix, target, workPath });
      const command = { ...mine, args: [...mine.args, "--concurrency", String(inFlight)] };
      const measured = await measure(await slowed(command, library, target, callMs), workPath);
      const { files } = await countTree(target);
      if (files !== count) throw new Error(`${files} files where ${count} are due`);
      return measured;
    },
  };
  const bare = {
    name: "the same calls and nothing else",
    run: async () => {
      const target = await memory.fresh();
      const loop = ["files.ts", target, String(count), String(sizeBytes), String(inFlight)];
      return driver("", workPath, loop, (command) => slowed(command, library, target, callMs)).run();
    },
  };
  const ceiling = inFlight / ((callMs * callsPerObject) / 1000);
  return {
    name: "slow-disk",
    title: `${count.toLocaleString("en")} × 16 KiB into memory, ${callMs} ms added to each of the ${callsPerObject} file calls of an object (open, write, set the time, close), ${inFlight} objects in flight with one call each at a time: at most ${ceiling} objects/s.`,
    metrics: [shareOf(ceiling, count), ...objectMetrics(count), wallSeconds, peakMiB],
    ...(await inRounds([copy, bare], bench.rounds)),
  };
}
