import { execFile } from "node:child_process";
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { bucketName, credentials, openScene, type Scene } from "../e2e/support/scene.ts";
import type { StoredObject } from "../emulator/stored-object.ts";
import { makeSparse, mountImage } from "../support/lossy-disk/disk.ts";
import { keptBytes } from "./discard-writes.ts";
import { watchMemory } from "./memory.ts";
import { preloaded } from "./preloaded.ts";

const execute = promisify(execFile);
const prefix = "data/";
const patienceMs = 4 * 3_600_000;
const mostMemoryBytes = 200 * 2 ** 20;

export interface HugeOutcome {
  readonly peakBytes: number;
  readonly seconds: number;
  readonly wrong: readonly string[];
}

/**
 * Populates a volume with one object of a size that only its metadata has room for: all bytes are received and verified, and
 * those around 2^32, 2^37 and the end are written and compared.
 */
export async function copyHugeObject(sizeBytes: number): Promise<HugeOutcome> {
  await using scene = await openScene({ requestLogLimit: 10 });
  scene.emulator.generate({ bucket: bucketName, prefix, count: 1, sizeBytes });
  const image = `${scene.scratch.path}/volume.img`;
  await makeSparse(image, sizeBytes + 2 ** 34);
  await execute("mkfs.xfs", ["-q", image]);
  await using volume = await mountImage(image, `${scene.scratch.path}/volume`);
  const keptAt = [0, 2 ** 32 - keptBytes / 2, 2 ** 37 - keptBytes / 2, sizeBytes - keptBytes].filter(
    (offset) => offset >= 0 && offset + keptBytes <= sizeBytes,
  );
  const preload = await preloaded("discard-writes", scene.scratch.path);
  const env = { ...credentials, ...preload, KEEP_AT: keptAt.join() };
  await using run = scene.start("populate", [], { target: volume.path, env, patienceMs });
  const peakBytes = await watchMemory(run);
  const { exitCode, report, elapsedMs } = await run.result;
  const wrong = await differencesAt(scene, volume.path, keptAt);
  if (exitCode !== 0 || report?.verified.crc64 !== 1) wrong.push(`it ended with ${exitCode}: ${report?.reason}`);
  if (peakBytes > mostMemoryBytes) wrong.push(`it took ${peakBytes} bytes of memory`);
  return { peakBytes, seconds: Math.round(elapsedMs / 1000), wrong };
}

async function differencesAt({ bucket }: Scene, root: string, offsets: readonly number[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const key of bucket.keys(prefix)) {
    await using file = await open(`${root}/${key.slice(prefix.length)}`);
    const { sizeBytes, content } = bucket.get(key) as StoredObject; // just listed
    const { size } = await file.stat();
    if (size !== sizeBytes) wrong.push(`the file has ${size} bytes`);
    for (const offset of offsets) {
      const wanted = Buffer.concat([...content.slices(offset, keptBytes)]);
      const { buffer } = await file.read(Buffer.alloc(keptBytes), 0, keptBytes, offset);
      if (!buffer.equals(wanted)) wrong.push(`there are other bytes at ${offset}`);
    }
  }
  return wrong;
}
