import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { makeScratch } from "../../e2e/support/scratch.ts";
import { type Filesystem, mountImage, openLossyDisk, whyNoDisk } from "./disk.ts";

const run = promisify(execFile);
const blockBytes = 4096;
/** A multiple of what `dd` writes at once: it would flush after a shorter last piece. */
const blocks = 512;
const old = Buffer.alloc(blocks * blockBytes, "old.");
const fresh = Buffer.alloc(blocks * blockBytes, "new.");

test.for<Filesystem>(["ext4", "xfs"])(
  "what a lossy disk with %s was told to flush is there after a loss of power, and of the rest any part may be lost",
  async (filesystem, context) => {
    const why = await whyNoDisk(filesystem);
    if (why !== undefined) return context.skip(why);
    await using scratch = await makeScratch();
    await using disk = await openLossyDisk(scratch.path, filesystem);
    await writeFile(`${disk.path}/kept`, old);
    await writeFile(`${disk.path}/overwritten`, old);
    await run("sync", ["-f", disk.path]);
    await writeFile(`${scratch.path}/fresh`, fresh);
    const blockSize = `bs=${64 * blockBytes}`;
    await run("dd", [
      `if=${scratch.path}/fresh`,
      `of=${disk.path}/overwritten`,
      blockSize,
      "oflag=direct",
      "conv=notrunc",
    ]);
    const lost = new Set<number>();
    for (const seed of [1, 2, 3, 4]) {
      const image = await disk.losePower("image", seed);
      await using mounted = await mountImage(image.path, `${scratch.path}/mounted`);
      expect((await readFile(`${mounted.path}/kept`)).equals(old)).toBe(true);
      const found = await readFile(`${mounted.path}/overwritten`);
      expect(found.length).toBe(old.length);
      for (let at = 0; at < found.length; at += blockBytes) {
        const block = found.subarray(at, at + blockBytes);
        const isOld = block.equals(old.subarray(0, blockBytes));
        expect(isOld || block.equals(fresh.subarray(0, blockBytes))).toBe(true);
        if (isOld) lost.add(at);
      }
    }
    expect(lost.size).toBeGreaterThan(0);
    await run("sync", ["-f", disk.path]);
    await disk.fail();
    await writeFile(`${disk.path}/overwritten`, old);
    await expect(run("sync", ["-f", disk.path])).rejects.toThrow(/Input\/output error/);
  },
);
