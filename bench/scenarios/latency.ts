/** Small objects when every answer comes late: how much of what its requests in flight allow does a client reach? */
import { mkdtemp, writeFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import { join } from "node:path";
import { driver } from "../drivers/driver.ts";
import { countTree } from "../folders.ts";
import { type Command, measure } from "../measure.ts";
import { memoryFolder } from "../memory.ts";
import { aliOss } from "../peers/ali-oss.ts";
import { ours } from "../peers/ours.ts";
import type { Job } from "../peers/peer.ts";
import { objectMetrics, peakMiB, type ScenarioResult, shareOf, spread, wallSeconds } from "../result.ts";
import { type Contender, inRounds } from "../rounds.ts";
import { nginxProgram } from "../server/configuration.ts";
import { bucket, FileServer } from "../server/nginx.ts";
import type { Bench } from "./scenario.ts";

const latencyMs = 20;
/** Of everybody. */
const inFlight = 32;
/** So many that the start, a quarter of a second, weighs little. */
const objects = 20_000;
const quickObjects = 200;
const singleRequests = 50;
const prefix = "set/";

const copiers: Readonly<Record<string, (job: Job) => Command>> = {
  "oss-populator": (job) => {
    const mine = ours.command(job);
    return { ...mine, args: [...mine.args, "--concurrency", String(inFlight)] };
  },
  "ali-oss": (job) => aliOss.command(job),
};

export async function latency(bench: Bench): Promise<ScenarioResult> {
  if (nginxProgram() === undefined) throw new Error("nginx is not installed (bench/peers/install gets it)");
  const count = bench.quick ? quickObjects : objects;
  const workPath = await mkdtemp(join(bench.workPath, "latency-"));
  using memory = await memoryFolder(); // a disk that others keep busy would show instead
  await using server = await FileServer.start(workPath);
  const files = await server.serve({ [prefix]: [{ name: "small", count, sizeBytes: 16 * 1024 }] }, { latencyMs });
  const copying = Object.entries(copiers).map(
    ([name, command]): Contender => ({
      name,
      run: async () => {
        const target = await memory.fresh();
        const job = { ...server.http, shape: "small", bucket, prefix, target, workPath } as const;
        const measured = await measure(command(job), workPath);
        const { files } = await countTree(target);
        if (files !== count) throw new Error(`${files} files where ${count} are due`);
        return measured;
      },
    }),
  );
  const paths = files.map(({ key }) => `/${bucket}/${key}`);
  const list = join(workPath, "keys");
  await writeFile(list, files.map(({ sizeBytes }, index) => `${paths[index]} ${sizeBytes}`).join("\n"));
  const receiving = ["receive.ts", server.http.url, String(inFlight), list];
  const single = await singleMs(server.http.port, paths.slice(0, singleRequests));
  const rounds = await inRounds([...copying, driver("receive and discard", workPath, receiving)], bench.rounds);
  const ceiling = inFlight / (latencyMs / 1000);
  return {
    name: "latency",
    title: `${count.toLocaleString("en")} × 16 KiB into memory, nginx waits ${latencyMs} ms before each answer (a single request takes ${single.min.toFixed(1)} ms at least, ${single.median.toFixed(1)} in the median), ${inFlight} requests in flight: at most ${ceiling} objects/s.`,
    metrics: [shareOf(ceiling, count), ...objectMetrics(count), wallSeconds, peakMiB],
    ...rounds,
  };
}

/** What the server's delay is to a client that asks for one object after the other. */
async function singleMs(port: number, paths: readonly string[]): Promise<{ min: number; median: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const tookMs: number[] = [];
  for (const path of paths) {
    const startMs = performance.now();
    await new Promise<void>((resolve, reject) => {
      get({ port, path, agent, host: "127.0.0.1" }, (response) => {
        response.once("end", resolve).once("error", reject).resume();
      }).once("error", reject);
    });
    tookMs.push(performance.now() - startMs);
  }
  agent.destroy();
  return spread(tookMs);
}
