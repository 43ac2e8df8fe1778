import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { checkpointIn } from "../e2e/support/checkpoint.ts";
import { bucketName, credentials, openScene, type Scene, type Verb } from "../e2e/support/scene.ts";
import { differencesFrom, pathsIn } from "../e2e/support/tree.ts";
import { countNames, until } from "../e2e/support/waiting.ts";

const execute = promisify(execFile);
const prefix = "data/";
const preload = fileURLToPath(new URL("../e2e/support/kill-at.ts", import.meta.url));

export interface PointOutcome {
  readonly tried: number;
  readonly wrong: readonly string[];
}

/** Which points are tried: one of every `step`, beginning with `first`. */
export interface Choice {
  readonly first: number;
  readonly step: number;
}

const all: Choice = { first: 1, step: 1 };

/**
 * A run on an empty volume is killed in place of its n-th change to the filesystem, for every n, from the test of the
 * target over the first state directory to the removal of the last; then another run completes the volume.
 */
export async function killFreshEverywhere(choice = all): Promise<PointOutcome> {
  await using scene = await openScene();
  fill(scene);
  return await killEverywhere(scene, "populate", choice, (target) => mkdir(target));
}

/** The same for a copy. */
export async function killFreshCopyEverywhere(choice = all): Promise<PointOutcome> {
  await using scene = await openScene();
  fill(scene);
  return await killEverywhere(scene, "copy", choice, (target) => mkdir(target));
}

/** The same for a copy that goes on with one large object, while another has changed in the source. */
export async function killResumedCopyEverywhere(choice = all): Promise<PointOutcome> {
  await using scene = await openScene();
  const { emulator, target } = scene;
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 4, sizeBytes: 100 });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 2, sizeBytes: 3_000_000 });
  emulator.addFaults({ kind: "delay", ms: 60_000, operation: "get", key: /large/, nth: 9, every: 1 });
  {
    await using run = scene.start("copy", ["--concurrency", "8", "--part-size", "256KiB"]);
    await until("ranges", () => emulator.counters.get >= 4 + 8 + 8);
    process.kill(run.pid, "SIGTERM");
    await run.result;
  }
  emulator.clearFaults();
  const temporaries = (await pathsIn(target)).filter((path) => path.includes(".oss-populator."));
  if (temporaries.length < 2) throw new Error("there are no unfinished objects to go on with");
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 2_500_000 });
  return await killEverywhere(scene, "copy", choice, (copy) => execute("cp", ["-a", target, copy]));
}

/** The same for a run that goes on from a checkpoint, with files and directories beyond the frontier to be removed. */
export async function killResumedEverywhere(choice = all): Promise<PointOutcome> {
  await using scene = await openScene();
  const { emulator, target } = scene;
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 120, sizeBytes: 100 });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 3_000_000 });
  emulator.addFaults({ kind: "delay", ms: 60_000, operation: "get", nth: 60, every: 1 });
  {
    await using run = scene.start("populate", ["--concurrency", "8", "--part-size", "256KiB"]);
    await until("files", async () => (await countNames(`${target}/small`)) > 40);
    process.kill(run.pid, "SIGTERM");
    await run.result;
  }
  emulator.clearFaults();
  if ((await checkpointIn(target)) === undefined) throw new Error("there is no checkpoint to go on from");
  // As a run leaves them that was killed before it could save another checkpoint.
  await Promise.all(["small/0115", "small/0116"].map((path) => writeFile(`${target}/${path}`, "torn")));
  await mkdir(`${target}/small/x/y`, { recursive: true });
  await writeFile(`${target}/small/x/y/z`, "of an object that was deleted");
  return await killEverywhere(scene, "populate", choice, (copy) => execute("cp", ["-a", target, copy]));
}

function fill({ emulator }: Scene): void {
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 4, sizeBytes: 100 });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 3_000_000 });
}

async function killEverywhere(
  scene: Scene,
  verb: Verb,
  { first, step }: Choice,
  prepare: (target: string) => Promise<unknown>,
): Promise<PointOutcome> {
  const wrong: string[] = [];
  let tried = 0;
  for (let point = first; ; point += step) {
    const target = `${scene.scratch.path}/point-${point}`;
    await prepare(target);
    const env = { ...credentials, KILL_AT: String(point), NODE_OPTIONS: `--import ${preload}` };
    const killed = await scene.run(verb, [], { target, env });
    if (killed.exitCode === 0) return { tried, wrong };
    tried++;
    const completed = await scene.run(verb, [], { target });
    const differences = await differencesFrom(scene.bucket, target, { prefix });
    if (completed.exitCode !== 0) differences.push(`exit ${completed.exitCode}: ${completed.report?.reason}`);
    wrong.push(...differences.map((difference) => `killed at change ${point}: ${difference}`));
  }
}
