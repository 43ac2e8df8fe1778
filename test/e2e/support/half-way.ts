import { expect } from "vitest";
import { bucketName, openScene, type Scene } from "./scene.ts";
import { countNames, until } from "./waiting.ts";

/** Every fifth object of 250 comes so slowly that a run can be ended in its middle. */
export async function openSlow(): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 250, sizeBytes: { min: 0, max: 9000 } });
  scene.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 10 * 2 ** 20 + 3 });
  scene.emulator.addFaults({ kind: "drip", bytesPerSecond: 500, operation: "get", every: 5 });
  return scene;
}

/** Starts a run and ends it without warning once it has made some files. */
export async function killHalfWay(scene: Scene, args: readonly string[] = [], target = scene.target): Promise<void> {
  await using run = scene.start("populate", args, { target });
  await until("some files", async () => (await countNames(`${target}/small`)) > 20);
  run.child.kill("SIGKILL");
  expect((await run.result).exitCode).toBe(null);
}
