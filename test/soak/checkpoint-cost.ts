import { bucketName, openScene } from "../e2e/support/scene.ts";

export interface CostSet {
  readonly objects: number;
  readonly sizeBytes: number;
}

export interface CheckpointCost {
  readonly checkpoints: number;
  /** Of their syncs and saves, during which objects are copied on: an upper bound of what they cost. */
  readonly tookSeconds: number;
  /** Of the same run. */
  readonly runSeconds: number;
}

const patienceMs = 900_000;

/** How long checkpoints take in a run that nothing slows down, as a share of the run. */
export async function measureCheckpoints({ objects, sizeBytes }: CostSet): Promise<CheckpointCost> {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: objects, sizeBytes, perDirectory: 1000 });
  const { exitCode, report, lines } = await scene.run("populate", ["--log-level", "debug"], { patienceMs });
  if (exitCode !== 0 || !report) throw new Error(`the run ended with ${exitCode}`);
  const saved = lines.filter(({ event }) => event === "checkpoint saved");
  const tookSeconds = saved.reduce((sum, { tookMs }) => sum + Number(tookMs), 0) / 1000;
  return { checkpoints: saved.length, tookSeconds, runSeconds: report.durationSeconds };
}
