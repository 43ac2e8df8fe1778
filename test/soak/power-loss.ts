import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import type { CliRun } from "../e2e/support/cli.ts";
import { bucketName, openScene, type Scene } from "../e2e/support/scene.ts";
import { differencesFrom } from "../e2e/support/tree.ts";
import { type Disk, type Filesystem, mountImage, openLossyDisk, unmount } from "../support/lossy-disk/disk.ts";
import { openImageDisk } from "../support/lossy-disk/image-disk.ts";

const execute = promisify(execFile);
const prefix = "data/";
const mib = 2 ** 20;
/** A checkpoint is due after 2,000. */
const smallObjects = 2_600;

export interface PowerLoss {
  readonly filesystem: Filesystem;
  /** What a loss of power takes: any part of what was not flushed, or nothing that was written. */
  readonly takes: "unflushed" | "nothing";
  readonly verb: "populate" | "copy";
  /** How the target gets to stable storage: as a volume of its own, or through an overlay, whose syncs are not trusted. */
  readonly method: "syncfs" | "fsync";
  /** Losses of power at random moments of the run, and at the instant of its exit 0. */
  readonly during: number;
  readonly atTheEnd: number;
  readonly random: () => number;
}

export interface PowerLossOutcome {
  readonly losses: number;
  /** Sectors that had been written and were lost. */
  readonly lostSectors: number;
  /** Runs after a loss that went on from a checkpoint. */
  readonly resumed: number;
  readonly wrong: readonly string[];
}

type Image = Awaited<ReturnType<Disk["losePower"]>>;

/**
 * Runs a verb on a disk whose power goes. Whatever is lost at the instant of exit 0, the volume is complete to the last
 * byte; whatever at a moment before, another run completes it.
 */
export async function losePower(loss: PowerLoss): Promise<PowerLossOutcome> {
  await using scene = await openScene();
  fill(scene);
  const open = loss.takes === "unflushed" ? openLossyDisk : openImageDisk;
  await using disk = await open(scene.scratch.path, loss.filesystem);
  const { during, atTheEnd, lastExit, durability } = await runAndLose(scene, disk, loss);
  scene.emulator.clearFaults();
  const wrong: string[] = [];
  if (lastExit !== 0 || durability !== loss.method)
    wrong.push(`the run ended with ${lastExit}, durable by ${durability}`);
  let resumed = 0;
  for (const image of [...atTheEnd, ...during]) {
    await using mounted = await mountImage(image.path, `${scene.scratch.path}/mounted`);
    await using target = await targetOn(mounted.path, scene, loss);
    if (during.includes(image) && (await complete(scene, target.path, loss, wrong))) resumed++;
    const differences = await differencesFrom(scene.bucket, target.path, { prefix, ignore: ["lost+found"] });
    wrong.push(...differences.map((text) => `${image.path}: ${text}`));
  }
  const images = [...during, ...atTheEnd];
  await Promise.all(images.map(({ path }) => rm(path)));
  return { losses: images.length, lostSectors: images.reduce((sum, { lost }) => sum + lost, 0), resumed, wrong };
}

function fill({ emulator }: Scene): void {
  const small = { min: 0, max: 6000 };
  emulator.generate({
    bucket: bucketName,
    prefix: "data/small/",
    count: smallObjects,
    sizeBytes: small,
    perDirectory: 500,
  });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 2, sizeBytes: 9 * mib + 5 });
  emulator.generate({ bucket: bucketName, prefix: "data/small/03-large", count: 1, sizeBytes: 12 * mib + 77 });
  emulator.addFaults(
    { kind: "delay", ms: 12, operation: "get", key: /small/ },
    { kind: "drip", bytesPerSecond: 1_000_000, operation: "get", key: /large/ },
  );
}

async function runAndLose(scene: Scene, disk: Disk, loss: PowerLoss) {
  const { counters } = scene.emulator;
  const { random, verb } = loss;
  await using target = await targetOn(disk.path, scene, loss);
  await using run = scene.start(verb, ["--concurrency", "32", "--part-size", "256KiB"], { target: target.path });
  const exit = once(run.child, "exit");
  const take = (name: string): Promise<Image> => disk.losePower(name, Math.floor(random() * 2 ** 30));
  const during: Image[] = [];
  const moments = Array.from({ length: loss.during }, () => Math.floor(random() * smallObjects)).toSorted(
    (a, b) => a - b,
  );
  for (const [i, requests] of moments.entries()) {
    while (counters.get < requests && isRunning(run)) await setTimeout(5);
    if (isRunning(run)) during.push(await take(`during-${i}`));
  }
  await exit;
  const atTheEnd: Image[] = [];
  for (let i = 0; i < loss.atTheEnd; i++) atTheEnd.push(await take(`end-${i}`));
  const { exitCode, report } = await run.result;
  return { during, atTheEnd, lastExit: exitCode, durability: report?.durability };
}

function isRunning({ child }: CliRun): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** The directory that is filled on a mounted disk. */
async function targetOn(
  mounted: string,
  scene: Scene,
  { method }: PowerLoss,
): Promise<AsyncDisposable & { path: string }> {
  if (method === "syncfs") return { path: mounted, [Symbol.asyncDispose]: async () => {} };
  const lower = await scene.scratch.directory("lower");
  const path = await scene.scratch.directory(`overlay-${mounted.replaceAll("/", "-")}`);
  await Promise.all([`${mounted}/upper`, `${mounted}/work`].map((each) => mkdir(each, { recursive: true })));
  const layers = `lowerdir=${lower},upperdir=${mounted}/upper,workdir=${mounted}/work`;
  await execute("mount", ["-t", "overlay", "-o", layers, "overlay", path]);
  return { path, [Symbol.asyncDispose]: () => unmount(path) };
}

/** Whether the run went on from a checkpoint. */
async function complete(scene: Scene, target: string, { verb }: PowerLoss, wrong: string[]): Promise<boolean> {
  const result = await scene.run(verb, [], { target });
  if (result.exitCode !== 0)
    wrong.push(`the run after the loss ended with ${result.exitCode}: ${result.report?.reason}`);
  return typeof result.report?.resumedFrom === "string";
}
