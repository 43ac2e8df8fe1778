import { rm } from "node:fs/promises";
import { bucketName, openScene } from "../e2e/support/scene.ts";

export interface CostSet {
  readonly objects: number;
  readonly sizeBytes: number;
}

export interface CheckpointCost {
  readonly checkpoints: number;
  /** Of their syncs and saves, during which objects are copied on: an upper bound of what they cost. */
  readonly tookSeconds: number;
  /** Of a run that logs nothing of them. */
  readonly runSeconds: number;
}

const patienceMs = 900_000;

/** How long checkpoints take in a run that nothing slows down, as a share of the run. */
export async function measureCheckpoints({ objects, sizeBytes }: CostSet): Promise<CheckpointCost> {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: objects, sizeBytes, perDirectory: 1000 });
  const run = async (...args: string[]) => {
    const target = await scene.scratch.directory("run");
    const result = await scene.run("populate", args, { target, patienceMs });
    await rm(target, { recursive: true });
    if (result.exitCode !== 0 || !result.report) throw new Error(`a run ended with ${result.exitCode}`);
    return { lines: result.lines, seconds: result.report.durationSeconds };
  };
  const { seconds: runSeconds } = await run();
  const { lines } = await run("--log-level", "debug");
  const saved = lines.filter(({ event }) => event === "checkpoint saved");
  const tookSeconds = saved.reduce((sum, { tookMs }) => sum + Number(tookMs), 0) / 1000;
  return { checkpoints: saved.length, tookSeconds, runSeconds };
}
